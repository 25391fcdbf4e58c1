"""The lead's addresses, below readings/."""

from django.urls import path

from webapp.readings import views_design as design
from webapp.readings import views_items as items
from webapp.readings import views_launch as launch
from webapp.readings import views_planner as planner

urlpatterns = [
    path("", design.reading_list, name="reading-list"),
    path("new/", design.reading_new, name="reading-new"),
    path("<uuid:id>/", design.reading_detail, name="reading-detail"),
    path("<uuid:id>/basics/", design.reading_basics, name="reading-basics"),
    path("<uuid:id>/questions/", design.reading_questions, name="reading-questions"),
    path("<uuid:id>/items/", items.reading_items, name="reading-items"),
    path("<uuid:id>/items/change/", items.items_change, name="items-change"),
    path("<uuid:id>/items/add/<slug:arm>/", items.items_add, name="items-add"),
    path("<uuid:id>/items/<uuid:item>.png", items.item_image, name="item-image"),
    path("<uuid:id>/candidates/<uuid:result>.png", items.candidate_image, name="candidate-image"),
    path("<uuid:id>/design/", design.reading_design, name="reading-design"),
    path("<uuid:id>/planner/", planner.reading_planner, name="reading-planner"),
    path("<uuid:id>/planner/power.svg", planner.planner_figure, name="planner-figure"),
    path("<uuid:id>/readers/", launch.reading_readers, name="reading-readers"),
    path("<uuid:id>/invite/", launch.reading_invite, name="reading-invite"),
    path("<uuid:id>/readers/<uuid:place>/remove/", launch.reading_uninvite, name="reading-uninvite"),
    path("<uuid:id>/prepare/", launch.reading_prepare_view, name="reading-prepare"),
    path("<uuid:id>/audit/", launch.reading_audit, name="reading-audit"),
    path("<uuid:id>/accept/", launch.reading_accept, name="reading-accept"),
    path("<uuid:id>/launch/", launch.reading_launch_view, name="reading-launch"),
    path("<uuid:id>/close/", design.reading_close_view, name="reading-close"),
    path("<uuid:id>/unblind/", design.reading_unblind_view, name="reading-unblind"),
    path("<uuid:id>/new-version/", design.reading_new_version_view, name="reading-new-version"),
    path("<uuid:id>/delete/", design.reading_delete_view, name="reading-delete"),
]
