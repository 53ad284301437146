"""A user model whose ids are UUIDs."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models


class Stranger(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["username"]
