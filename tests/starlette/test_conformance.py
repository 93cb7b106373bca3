import pytest

from keyturn.starlette import Keyturn
from keyturn.testing._http_reference import application
from keyturn.testing.http_conformance import HttpConformance, served_by_uvicorn


@pytest.mark.ids(
    "CK-01", "CK-02", "CK-08", "CK-09", "CK-14", "DS-01", "HT-01", "HT-04", "HT-05", "HT-06", "M42", "M46", "M49",
    "RT-13", "SE-02", "TOK-23", "XS-01", "XS-03", "XS-06", "XS-07", "XS-09", "XS-12",
)  # fmt: skip
class TestStarlette(HttpConformance):
    @classmethod
    def make_service(cls, **parts):
        return Keyturn(**parts)

    @classmethod
    def serve(cls, service):
        return served_by_uvicorn(application(service))
