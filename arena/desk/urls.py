"""Addresses of the desk; included by arena/urls.py at /desk/."""

from django.urls import path

from arena.desk import views

urlpatterns = [
    path("", views.home, name="desk"),
    path("<slug:slug>/", views.queue, name="desk_queue"),
    path("<slug:slug>/pass/", views.pass_many, name="desk_pass"),
    path("<slug:slug>/<uuid:pk>/", views.case, name="desk_case"),
    path("<slug:slug>/<uuid:pk>/decide/", views.decide, name="desk_decide"),
]
