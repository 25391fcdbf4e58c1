# The compute worker. TORCH_INDEX_URL chooses the wheels: CPU-only by default, CUDA through compose.gpu.yaml.
FROM python:3.11-slim-bookworm
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=webapp.settings.production SEMBLANCE_HOME=/data OMP_WAIT_POLICY=passive
WORKDIR /semblance
COPY requirements.txt ./
COPY docker/requirements.py docker/
RUN python docker/requirements.py worker > worker.txt \
    && pip install --no-cache-dir --index-url "$TORCH_INDEX_URL" "$(grep '^torch==' worker.txt)" \
    && pip install --no-cache-dir -r worker.txt
COPY manage.py LICENSE NOTICE ./
COPY webapp webapp
COPY synthesis synthesis
COPY workers workers
COPY training training
COPY weights weights
RUN useradd --system --uid 10001 --home-dir /data semblance && install -d -o semblance /data
USER semblance
VOLUME /data
CMD ["python", "-m", "workers.supervisor", "--queue", "compute"]
