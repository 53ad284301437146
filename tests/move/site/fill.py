"""Fills the site: people with every hasher and every state, and N more; prints what a front end of each would hold.

Run inside the site: python fill.py N. Prints JSON: for each person the password, tokens and what should arrive.
"""

import json
import sys
from datetime import UTC, datetime, timedelta

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.hashers import get_hashers_by_algorithm, make_password  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken  # noqa: E402

PASSWORD = "correct horse battery"
QUICK = {"pbkdf2_sha256": 1000, "pbkdf2_sha1": 1000}
User = get_user_model()
JOINED = datetime(2019, 5, 4, 3, 2, 1, 500, tzinfo=UTC)


def hashed(algorithm):
    """A hash of the password, of few rounds where the hasher has rounds."""
    hasher = get_hashers_by_algorithm()[algorithm]
    if algorithm in QUICK:
        return hasher.encode(PASSWORD, hasher.salt(), QUICK[algorithm])
    if algorithm.startswith("bcrypt"):
        hasher.rounds = 4
    if algorithm == "argon2":
        hasher.time_cost, hasher.memory_cost, hasher.parallelism = 1, 256, 2
    return hasher.encode(PASSWORD, hasher.salt())


def fields(name, number):
    """The fields of a user of this site."""
    common = {"email": f"{name}@example.com", "date_joined": JOINED + timedelta(days=number)}
    if settings.USERS == "people":
        return common | {"first_name": name.title(), "last_name": "Álvarez", "phone_number": f"+351 {number}"}
    return common | {"username": name}


def main(number):
    """Fill the site."""
    held = []
    for place, algorithm in enumerate(get_hashers_by_algorithm()):
        user = User(**fields(f"by_{algorithm}", place), password=hashed(algorithm))
        user.last_login = JOINED + timedelta(days=100)
        user.save()
        spent = RefreshToken.for_user(user)
        spent.blacklist()
        held.append(
            {
                "id": str(user.pk),
                "email": user.email,
                "refresh": str(RefreshToken.for_user(user)),
                "revoked": str(spent),
                "access": str(AccessToken.for_user(user)),
                "token": Token.objects.create(user=user).key,
            }
        )
    User(**fields("boss", 50), password=hashed("bcrypt"), is_staff=True, is_superuser=True).save()
    User(**fields("sleeper", 51), password=hashed("bcrypt"), is_active=False).save()
    User(**fields("social", 52), password=make_password(None)).save()
    if settings.USERS == "stock":
        User(**fields("same", 53), password=hashed("bcrypt")).save()
        User(**(fields("SAME", 54) | {"email": "other@example.com"}), password=hashed("bcrypt")).save()
        User(**(fields("twice", 55) | {"email": "Same@Example.com"}), password=hashed("bcrypt")).save()
        profile = User.objects.get(username="boss").profile
        profile.description, profile.location, profile.is_creator = "film club", "Lisbon", True
        profile.save()
        User(**fields("odd", 56), password="sha1$x$y").save()
    many, stored = [], hashed("pbkdf2_sha256")
    for each in range(number):
        many.append(User(**fields(f"user{each}", each % 1000), password=stored))
    User.objects.bulk_create(many, batch_size=5000)
    if settings.USERS == "stock" and many:
        from profiles.models import UserProfile

        UserProfile.objects.bulk_create([UserProfile(user=each) for each in many], batch_size=5000)
    print(json.dumps(held))


main(int(sys.argv[1]))
