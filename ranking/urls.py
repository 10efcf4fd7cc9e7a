"""Addresses of the board; included by arena/urls.py by name."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
