"""Addresses of the board; included by arena/urls.py by name."""

from django.urls import path

from ranking.pages import views
from ranking.votelog import views as log_views

urlpatterns = [
    path("leaderboard", views.leaderboard, name="leaderboard"),
    path("leaderboard.<str:ending>", views.download, name="board_download"),
    path("leaderboard/plots", views.plots, name="board_plots"),
    path("leaderboard/sampling", views.sampling, name="sampling"),
    path("leaderboard/sampling.csv", views.sampling_csv, name="sampling_csv"),
    path("leaderboard/quality", views.quality, name="quality"),
    path("leaderboard/wipe-demo/", views.wipe_demo, name="wipe_demo"),
    path("models/<slug:slug>/", views.model_page, name="model"),
    path("ops/planner", views.plan, name="planner"),
    path("log", log_views.log, name="vote_log"),
    path("receipt", log_views.receipt, name="receipt"),
    path("methodology", views.methodology, name="methodology"),
]
