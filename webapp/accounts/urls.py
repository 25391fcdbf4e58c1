"""Addresses of the accounts app."""

from django.urls import path

from webapp.accounts import people, views

app_name = "accounts"
urlpatterns = [
    path("login/", views.LoginView.as_view(), name="login"),
    path("logout/", views.LogoutView.as_view(), name="logout"),
    path("password/", views.PasswordChangeView.as_view(), name="password-change"),
    path("profile/", views.profile, name="profile"),
    path("profile/tokens/", views.token_new, name="token-new"),
    path("profile/tokens/<uuid:id>/revoke/", views.token_end, name="token-revoke"),
    path("people/", people.people, name="people"),
    path("people/new/", people.person_new, name="person-new"),
    path("people/<uuid:id>/", people.person, name="person"),
    path("people/<uuid:id>/roles/", people.person_roles, name="person-roles"),
    path("people/<uuid:id>/state/", people.person_state, name="person-state"),
    path("people/<uuid:id>/password/", people.person_password, name="person-password"),
]
