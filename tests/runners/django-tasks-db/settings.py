"""A Django project that has tasks and nothing else. Its store is the environment's STORE."""

import os

SECRET_KEY = "for tests"
USE_TZ = True
INSTALLED_APPS = ["django_tasks_db"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["STORE"]}}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
