"""Does what an administrator does in Django's admin site, one step after the other.

    drive.py story    everything up to the erasure; prints one JSON line with what it saw
    drive.py erased   after user "bob" was erased through the gateway
    drive.py direct   the story on a plain database
"""

import json
import os
import re
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "directory.settings")

import django

django.setup()

from django.contrib.admin.models import LogEntry
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import IntegrityError, NotSupportedError, connection, transaction
from django.test import Client

PASSWORD = "correct horse battery staple"
ADD, CHANGE, DELETE = 1, 2, 3


def page(response, status=200):
    """The page's text, once its status is as expected."""
    assert response.status_code == status, (response.status_code, response.content.decode()[:3000])
    return response.content.decode()


def submitted(response):
    """A form was accepted: it redirects, instead of showing its errors again."""
    if response.status_code != 302:
        form = response.context and response.context.get("errors")
        raise AssertionError(f"the form was not accepted ({response.status_code}): {form}")


def user_form(**changes):
    """What the admin's change form sends."""
    form = {
        "username": "bob",
        "first_name": "",
        "last_name": "",
        "email": "",
        "is_active": "on",
        "date_joined_0": "2024-02-29",
        "date_joined_1": "12:34:56",
        "last_login_0": "",
        "last_login_1": "",
    }
    form.update(changes)
    return form


def add(client, username, **person):
    """Adds a user by the two forms of the admin: account first, then the person."""
    submitted(
        client.post(
            "/admin/auth/user/add/",
            {
                "username": username,
                "usable_password": "true",
                "password1": PASSWORD,
                "password2": PASSWORD,
                "_continue": "1",
            },
        )
    )
    user = User.objects.get(username=username)
    submitted(client.post(f"/admin/auth/user/{user.pk}/change/", user_form(username=username, **person)))
    return user.pk


def log_labels(pk, flag):
    return list(
        LogEntry.objects.filter(content_type__app_label="auth", content_type__model="user")
        .filter(object_id=str(pk), action_flag=flag)
        .values_list("object_repr", flat=True)
    )


def story():
    os.environ["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    call_command("migrate", verbosity=0)
    call_command("migrate", verbosity=0)
    call_command(
        "createsuperuser", interactive=False, username="amelie.chef", email="amelie.chef@directory.example"
    )
    chef = User.objects.get(username="amelie.chef")
    assert chef.email == "amelie.chef@directory.example", chef.email
    assert User.objects.get(email="amelie.chef@directory.example").pk == chef.pk
    assert authenticate(username="amelie.chef", password=PASSWORD) == chef
    assert authenticate(username="nobody.here", password=PASSWORD) is None

    client = Client()
    login = {"username": "amelie.chef", "password": "wrong", "next": "/admin/"}
    assert "correct username and password" in page(client.post("/admin/login/", login)).replace("&nbsp;", " ")
    login["password"] = PASSWORD
    submitted(client.post("/admin/login/", login))
    assert "amelie.chef" in page(client.get("/admin/"))
    assert "amelie.chef@directory.example" in page(client.get("/admin/auth/user/"))

    # Adding: the form asks whether the name is taken in any case (UPPER(username) = UPPER('bob')).
    page(client.get("/admin/auth/user/add/"))
    bob = add(
        client, "bob.lefevre", first_name="Bob-Émile", last_name="Lefèvre-D'Arc", email="bob.lefevre@directory.example"
    )
    taken = client.post(
        "/admin/auth/user/add/",
        {"username": "BOB.LEFEVRE", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD},
    )
    assert "already exists" in page(taken)
    assert log_labels(bob, ADD) == ["bob.lefevre"], log_labels(bob, ADD)

    # The row, by every way that the ORM reads it.
    row = User.objects.get(pk=bob)
    assert (row.first_name, row.last_name) == ("Bob-Émile", "Lefèvre-D'Arc"), (row.first_name, row.last_name)
    assert list(User.objects.filter(username__in=["bob.lefevre", "x"]).values_list("email", flat=True)) == [
        "bob.lefevre@directory.example"
    ]
    assert User.objects.filter(username__iexact="Bob.LeFevre").count() == 1
    assert User.objects.exclude(email="unknown@directory.example").count() == 2
    assert User.objects.filter(email="unknown@directory.example").exists() is False
    assert "Lefèvre" in page(client.get("/admin/auth/user/?is_staff__exact=0"))

    # Editing, and changing the password.
    form = page(client.get(f"/admin/auth/user/{bob}/change/"))
    assert "Bob-Émile" in form and "bob.lefevre@directory.example" in form
    submitted(
        client.post(
            f"/admin/auth/user/{bob}/change/",
            user_form(
                username="bob.lefevre",
                first_name="Robert-Émile",
                last_name="Lefèvre-D'Arc",
                email="robert.lefevre@directory.example",
            ),
        )
    )
    row.refresh_from_db()
    assert (row.first_name, row.email) == ("Robert-Émile", "robert.lefevre@directory.example")
    assert not User.objects.filter(email="bob.lefevre@directory.example").exists()
    other = "another long enough secret"
    submitted(
        client.post(
            f"/admin/auth/user/{bob}/password/",
            {"usable_password": "true", "password1": other, "password2": other},
        )
    )
    assert authenticate(username="bob.lefevre", password=other) is not None
    assert len(log_labels(bob, CHANGE)) == 3, log_labels(bob, CHANGE)
    assert "bob.lefevre" in page(client.get(f"/admin/auth/user/{bob}/history/"))

    # What is not about a person stays as it is.
    submitted(client.post("/admin/auth/group/add/", {"name": "Lecteurs du journal"}))
    assert Group.objects.get().name == "Lecteurs du journal"
    groups = LogEntry.objects.filter(content_type__app_label="auth", content_type__model="group")
    assert list(groups.values_list("object_repr", flat=True)) == ["Lecteurs du journal"]

    # The database's own UNIQUE, and a transaction that is taken back.
    try:
        with transaction.atomic():
            User.objects.create_user("bob.lefevre", "second.bob@directory.example", PASSWORD)
        raise AssertionError("a second bob.lefevre was accepted")
    except IntegrityError as error:
        assert error.__cause__.sqlstate == "23505", error.__cause__.sqlstate
    try:
        with transaction.atomic():
            User.objects.create_user("ghost.user", "ghost.user@directory.example", PASSWORD)
            raise KeyError("taken back")
    except KeyError:
        pass
    assert not User.objects.filter(username="ghost.user").exists()
    ghost = User.objects.create_user("ghost.user", "ghost.user@directory.example", PASSWORD)
    with transaction.atomic():
        ghost.first_name = "Fantômette"
        ghost.save()
        with transaction.atomic():
            User.objects.filter(username="ghost.user").update(last_name="Disparue")
    ghost.refresh_from_db()
    assert (ghost.first_name, ghost.last_name) == ("Fantômette", "Disparue")

    # Searching and sorting in the admin, on encrypted fields and on identifiers; one word in each of two fields.
    def listed(query):
        html = page(client.get(f"/admin/auth/user/?{query}"))
        return re.findall(r'class="field-username"><a [^>]*>([^<]*)</a>', html)

    assert listed("q=LEFÈVRE") == ["bob.lefevre"], listed("q=LEFÈVRE")
    assert listed("q=émile+nobody%40") == [], listed("q=émile+nobody%40")
    assert listed("q=émile+robert.") == ["bob.lefevre"], listed("q=émile+robert.")
    assert listed("q=directory.example") == ["amelie.chef", "bob.lefevre", "ghost.user"], listed("q=directory.example")
    assert listed("q=nobody.here") == []
    assert listed("o=4") == ["amelie.chef", "ghost.user", "bob.lefevre"], listed("o=4")
    assert listed("o=-3.1") == ["bob.lefevre", "ghost.user", "amelie.chef"], listed("o=-3.1")
    assert listed("o=-2&is_superuser__exact=0") == ["bob.lefevre", "ghost.user"], listed("o=-2&is_superuser__exact=0")
    assert [u.username for u in User.objects.order_by("-last_name", "id")[1:3]] == ["ghost.user", "amelie.chef"]

    # The ORM's look-ups, and writes by them.
    assert User.objects.get(last_name="Lefèvre-D'Arc").pk == bob
    assert User.objects.filter(first_name__in=["Robert-Émile", "x"], last_name__startswith="Lef").count() == 1
    assert User.objects.filter(last_name__iregex=r"^lef.*arc$").exclude(first_name="x").get().pk == bob
    assert LogEntry.objects.filter(user__email__icontains="AMELIE", object_repr__icontains="LEFEVRE").exists()
    assert User.objects.filter(last_name__iexact="disparue").update(is_active=False) == 1
    assert set(User.objects.values_list("last_name", flat=True).distinct()) == {"", "Lefèvre-D'Arc", "Disparue"}

    # Deleting one, then "delete selected" of three at once.
    page(client.get(f"/admin/auth/user/{ghost.pk}/delete/"))
    ghost_pk = ghost.pk
    submitted(client.post(f"/admin/auth/user/{ghost_pk}/delete/", {"post": "yes"}))
    assert not User.objects.filter(pk=ghost_pk).exists()
    assert log_labels(ghost_pk, DELETE) == ["ghost.user"], log_labels(ghost_pk, DELETE)
    names = ["carole.petit", "denis.moreau", "elise.garnier"]
    three = [add(client, name, first_name=f"P{name}", email=f"{name}@directory.example") for name in names]
    selected = {"action": "delete_selected", "_selected_action": [str(pk) for pk in three]}
    assert "carole.petit" in page(client.post("/admin/auth/user/", selected))
    submitted(client.post("/admin/auth/user/", {**selected, "post": "yes"}))
    assert User.objects.filter(pk__in=three).count() == 0
    assert [log_labels(pk, DELETE) for pk in three] == [[name] for name in names]

    # Bulk writes of the ORM.
    User.objects.bulk_create(
        [
            User(username=f"bulk.{n}", email=f"bulk.{n}@directory.example", first_name=f"Bulk-{n}-prénom")
            for n in range(5)
        ]
    )
    bulk = list(User.objects.filter(username__in=[f"bulk.{n}" for n in range(5)]).order_by("id"))
    assert [u.first_name for u in bulk] == [f"Bulk-{n}-prénom" for n in range(5)], [u.first_name for u in bulk]
    assert User.objects.filter(pk__in=[u.pk for u in bulk]).update(last_name="Ensemble") == 5
    assert set(User.objects.filter(pk__in=[u.pk for u in bulk]).values_list("last_name", flat=True)) == {"Ensemble"}

    assert "denis.moreau" in page(client.get("/admin/"))
    page(client.post("/admin/logout/"))
    return {"chef": chef.pk, "bob": bob, "users": User.objects.count(), "log": LogEntry.objects.count()}


def erased():
    row = User.objects.get(pk=int(os.environ["TEST_BOB"]))
    assert (row.username, row.email, row.first_name, row.last_name) == ("", "", "", ""), vars(row)
    assert not User.objects.filter(username="bob.lefevre").exists()
    assert not User.objects.filter(email="robert.lefevre@directory.example").exists()
    assert set(LogEntry.objects.filter(object_id=str(row.pk)).values_list("object_repr", flat=True)) == {""}
    # Saving the whole row writes the placeholders back: they mean "unchanged".
    row.is_active = False
    row.save()
    row = User.objects.get(pk=row.pk)
    assert (row.username, row.email, row.first_name, row.is_active) == ("", "", "", False), vars(row)
    row.first_name = "Revenu"
    try:
        row.save()
        raise AssertionError("a value about an erased person was accepted")
    except NotSupportedError as error:
        assert error.__cause__.diag.sqlstate == "0A000", error.__cause__.diag.sqlstate
    connection.close()
    client = Client()
    submitted(client.post("/admin/login/", {"username": "amelie.chef", "password": PASSWORD, "next": "/admin/"}))
    listed = page(client.get("/admin/auth/user/"))
    assert "Lefèvre" not in listed and "lefevre" not in listed and "amelie.chef" in listed
    page(client.get("/admin/"))
    # The account that is left is deleted like any other; the admin's log names nobody.
    submitted(client.post(f"/admin/auth/user/{row.pk}/delete/", {"post": "yes"}))
    assert not User.objects.filter(pk=row.pk).exists()
    assert log_labels(row.pk, DELETE) == [""], log_labels(row.pk, DELETE)
    return {"users": User.objects.count()}


STORIES = {"story": story, "direct": story, "erased": erased}

if __name__ == "__main__":
    print(json.dumps(STORIES[sys.argv[1]]()))
