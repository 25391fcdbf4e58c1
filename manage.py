#!/usr/bin/env python
"""Django's command line for Semblance."""

import os
import sys


def main() -> None:
    """Run one management command under the development settings unless others are named."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings.development")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
