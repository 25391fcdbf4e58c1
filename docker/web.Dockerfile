# The site and the records worker: no torch. Build from the project's root: docker build -f docker/web.Dockerfile .
FROM python:3.11-slim-bookworm AS viewer
WORKDIR /semblance
COPY requirements.txt ./
COPY docker/requirements.py docker/
RUN python docker/requirements.py viewer > viewer.txt && pip install --no-cache-dir -r viewer.txt
COPY frontend frontend
RUN python frontend/build.py

FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=webapp.settings.production SEMBLANCE_HOME=/data
WORKDIR /semblance
COPY requirements.txt ./
COPY docker/requirements.py docker/
RUN python docker/requirements.py web > web.txt && pip install --no-cache-dir -r web.txt
COPY manage.py LICENSE NOTICE ./
COPY webapp webapp
COPY synthesis synthesis
COPY workers workers
COPY weights weights
COPY --from=viewer /semblance/frontend/dist frontend/dist
RUN useradd --system --uid 10001 --home-dir /data semblance && install -d -o semblance /data
USER semblance
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-c", \
    "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "-m", "gunicorn", "webapp.wsgi:application", "--bind", "0.0.0.0:8000", \
     "--worker-class", "gthread", "--workers", "2", "--threads", "8", "--timeout", "120", \
     "--keep-alive", "15", "--no-control-socket"]
