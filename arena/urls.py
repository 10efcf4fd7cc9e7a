"""Every address of the site, in one place. The event stream of a turn is routed in `arena/asgi.py`."""

from django.contrib import admin
from django.urls import include, path, re_path

from arena.api import api
from arena.views import (
    admin_login,
    battle,
    complaints,
    export,
    health,
    language,
    me,
    my_data,
    ops,
    pages,
    share,
)

handler400 = "arena.views.errors.bad_request"
handler403 = "arena.views.errors.forbidden"
handler404 = "arena.views.errors.not_found"
handler500 = "arena.views.errors.server_error"

urlpatterns = [
    path("", battle.home, name="home"),
    path("battles/", battle.start, name="start_battle"),
    path("b/<uuid:battle>/", battle.page, name="battle"),
    path("b/<uuid:battle>/turns/", battle.send, name="send"),
    path("b/<uuid:battle>/stop/", battle.stop, name="stop"),
    path("b/<uuid:battle>/retry/", battle.retry, name="retry"),
    path("b/<uuid:battle>/vote/", battle.vote, name="vote"),
    path("b/<uuid:battle>/rematch/", battle.rematch, name="rematch"),
    path("b/<uuid:battle>/share/", share.share, name="share"),
    path("b/<uuid:battle>/unshare/", share.unshare, name="unshare"),
    path("b/<uuid:battle>/report/", complaints.report, name="report"),
    re_path(r"^s/(?P<token>[A-Za-z0-9_-]{43})/$", share.shared, name="shared"),
    path("appeals/", complaints.appeal, name="appeal"),
    path("appeals/<uuid:block>/", complaints.appealed, name="appealed"),
    path("me/", me.history, name="me"),
    path("me/data/", me.data, name="my_data"),
    re_path(r"^me/export\.(?P<form>json|txt)$", export.export, name="export"),
    path("me/publishing/", my_data.publishing, name="publishing"),
    path("me/code/", my_data.make_code, name="make_code"),
    path("me/recover/", my_data.recover, name="recover"),
    path("me/delete/", my_data.delete, name="delete_me"),
    path("me/deleted/", my_data.deleted, name="my_data_deleted"),
    re_path(r"^(?P<slug>terms|privacy|about)$", pages.page, name="page"),
    path("", include("ranking.pages.urls")),
    path("", include("datasets.urls")),
    path("api", pages.api, name="api"),
    path("api/v1/", api.urls),
    # kindness: the same pages with a slash at the end, and the icon where browsers look unasked
    re_path(r"^(?P<page>leaderboard|methodology|log|receipt|datasets|api|terms|privacy|about)/$", pages.without_slash),
    path("favicon.ico", pages.icon),
    path("language/", language.choose, name="set_language"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("desk/", include("arena.desk.urls")),
    path("rate/", include("datasets.rating.urls")),
    path("metrics", ops.metrics, name="metrics"),
    re_path(r"^ops/?$", ops.page, name="ops"),
    path("admin-login/<str:token>/", admin_login.admin_login, name="admin_login"),
    path("admin/", admin.site.urls),
]
