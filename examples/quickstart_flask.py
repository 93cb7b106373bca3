"""A Flask application with sessions: ``flask --app quickstart_flask run --port 8000``, then ``curl.sh``."""

from hashlib import scrypt
from hmac import compare_digest

from flask import Flask

from keyturn import Principal
from keyturn.flask import Keyturn

# A toy. Yours asks your database, with a salt for each user. Name: (id that never changes, hash of the password)
PEOPLE = {"ada": ("user-1", scrypt(b"lovelace", salt=b"toy", n=2**14, r=8, p=5))}


class Users:
    def authenticate(self, username: str, password: str, request: object) -> Principal | None:
        subject, kept = PEOPLE.get(username, ("", b""))
        given = scrypt(password.encode(), salt=b"toy", n=2**14, r=8, p=5)  # an unknown name takes as long
        return self.load(subject) if compare_digest(given, kept) else None

    def load(self, subject: str) -> Principal | None:
        return Principal(subject=subject) if subject in (known for known, _ in PEOPLE.values()) else None


app = Flask(__name__)
app.config.update(KEYTURN_PROFILE="development", KEYTURN_STORE="sqlite:///app.db", KEYTURN_KEYS="keys")
auth = Keyturn(app, users=Users())


@app.get("/me")
@auth.required
def me() -> dict[str, str]:
    return {"subject": auth.claims.subject}
