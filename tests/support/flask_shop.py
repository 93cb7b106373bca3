"""An application that real WSGI servers import, from a process of their own; configured by FLASK_KEYTURN_*."""

import os
from hashlib import scrypt

from flask import Flask

from keyturn import Principal
from keyturn.flask import Keyturn


class Users:
    def authenticate(self, username, password, request):
        return self.load(username) if password == "right" else None

    def load(self, subject):
        return Principal(subject=subject)


auth = Keyturn(users=Users(), throttle=None)


def create_app():
    app = Flask("shop", instance_path=os.environ["SHOP"])
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/me")
    @auth.required
    def me():
        return {"subject": auth.claims.subject}

    @app.get("/awaited")
    @auth.required(stale="ask")
    async def awaited():
        return {"subject": auth.claims.subject}

    @app.get("/busy")
    def busy():
        scrypt(b"busy", salt=b"worker", n=2**15, r=8, p=1, maxmem=2**26)  # nothing else happens in a gevent worker
        return ""

    @app.after_request
    def tell_who_answered(response):
        response.headers["X-Pid"] = str(os.getpid())
        return response

    if "SHOP_USES_ITS_STORE_BEFORE_IT_FORKS" in os.environ:
        with app.app_context():
            auth.sessions.start(Principal(subject="early"))
    return app
