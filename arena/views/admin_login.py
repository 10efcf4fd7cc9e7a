"""The one-time admin link: a page that asks, a POST that signs in. Fetching the link (a preview, a scanner) spends nothing."""

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from arena import accounts
from arena.sign_in import throttled


@never_cache
@sensitive_variables("token")
@require_http_methods(["GET", "POST"])
@throttled
def admin_login(request: HttpRequest, token: str) -> HttpResponse:
    if request.method == "GET":
        return render(request, "admin_login/confirm.html")
    user = accounts.redeem(token)
    if user is None:
        return render(request, "admin_login/confirm.html", {"spent": True}, status=410)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("admin:index")
