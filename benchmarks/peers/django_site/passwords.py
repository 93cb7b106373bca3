"""How the sites hash passwords."""

from __future__ import annotations

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class QuickHasher(PBKDF2PasswordHasher):
    """Django's own with one turn: hundreds of sign-ins are made before anything is measured."""

    algorithm = "pbkdf2_sha256_once"
    iterations = 1
