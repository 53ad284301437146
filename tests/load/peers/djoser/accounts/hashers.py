"""Django's bcrypt, with the cost of the measurement."""

import os

from django.contrib.auth.hashers import BCryptSHA256PasswordHasher


class Hasher(BCryptSHA256PasswordHasher):
    rounds = int(os.environ["BCRYPT_ROUNDS"])
