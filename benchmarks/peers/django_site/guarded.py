"""The guarded GET of both sites."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView


class Me(APIView):
    """Says who calls."""

    permission_classes = (IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response({"subject": str(request.user.pk)})
