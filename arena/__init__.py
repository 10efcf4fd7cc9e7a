"""Agon's web app and Django project package."""
