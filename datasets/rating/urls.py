"""Addresses of the raters' pages; included by arena/urls.py at /rate/ by name."""

from django.urls import path

from datasets.rating import views

urlpatterns = [
    path("", views.home, name="rate"),
    path("<uuid:pk>/", views.next_battle, name="rate_round"),
    path("<uuid:pk>/take-back/", views.take_back, name="rate_take_back"),
    path("<uuid:pk>/<uuid:item>/", views.label, name="rate_label"),
]
