"""Every address of the site, in one place. The event stream of a turn is routed in `arena/asgi.py`."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
