"""A Django site with djoser, simplejwt and DRF's tokens. MOVE_USERS: its user model, stock, people or strangers."""

import os
from datetime import timedelta

USERS = os.environ["MOVE_USERS"]
SECRET_KEY = os.environ["MOVE_KEY"]
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "rest_framework",
    "rest_framework.authtoken",
    "rest_framework_simplejwt.token_blacklist",
    "djoser",
    *(["profiles"] if USERS == "stock" else [USERS]),
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("PGHOST", ""),
        "PORT": os.environ.get("PGPORT", ""),
        "USER": os.environ.get("PGUSER", ""),
        "NAME": os.environ.get("PGDATABASE", ""),
    }
}
AUTH_USER_MODEL = {"stock": "auth.User", "people": "people.Person", "strangers": "strangers.Stranger"}[USERS]
PASSWORD_HASHERS = [
    f"django.contrib.auth.hashers.{name}"
    for name in (
        "PBKDF2PasswordHasher",
        "PBKDF2SHA1PasswordHasher",
        "Argon2PasswordHasher",
        "BCryptSHA256PasswordHasher",
        "ScryptPasswordHasher",
        "BCryptPasswordHasher",
        "MD5PasswordHasher",
    )
]
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"]}
# So long that recorded tokens serve the tests for years.
SIMPLE_JWT = {"REFRESH_TOKEN_LIFETIME": timedelta(days=3000), "ACCESS_TOKEN_LIFETIME": timedelta(days=3000)}
if USERS != "stock":
    DJOSER = {"LOGIN_FIELD": "email"}
