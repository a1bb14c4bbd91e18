"""Uses SQLAlchemy's ORM as it comes; prints what it saw, one line each.

    drive.py URL
"""

import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Boolean, Date, DateTime, ForeignKey, Identity, Integer, Numeric, String, Text
from sqlalchemy import create_engine, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PgUuid
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)
    first_name: Mapped[str | None] = mapped_column(Text)
    last_name: Mapped[str | None] = mapped_column(String(150))
    birth_date: Mapped[date | None] = mapped_column(Date)
    seen_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    age: Mapped[int | None] = mapped_column(Integer)
    salary: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    active: Mapped[bool | None] = mapped_column(Boolean)
    badge: Mapped[UUID | None] = mapped_column(PgUuid(as_uuid=True))
    profile: Mapped[dict | None] = mapped_column(JSONB(none_as_null=True))
    title: Mapped[str | None] = mapped_column(Text)
    comments: Mapped[list["Comment"]] = relationship(back_populates="author", order_by="Comment.id")


class Comment(Base):
    __tablename__ = "comments"
    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    body: Mapped[str | None] = mapped_column(Text)
    author: Mapped[Person] = relationship(back_populates="comments")


PARIS = timezone(timedelta(hours=2))


def person(n, **more):
    return Person(email=f"p{n}@x.example", first_name=f"Prénom {n}", last_name=f"Nom d'{n}", **more)


def show(what, *values):
    print(what, *[repr(v) for v in values])


def row(p):
    seen = p.seen_at and p.seen_at.astimezone(timezone.utc).isoformat()
    return (p.id, p.email, p.first_name, p.last_name, p.birth_date, seen, p.age, p.salary, p.active, p.badge, p.profile, p.title)


def story(engine):
    with Session(engine) as session:
        session.execute(text("SET TIME ZONE 'Europe/Paris'"))
        # Several new objects in one flush: INSERT … SELECT … FROM (VALUES …) ORDER BY … RETURNING.
        people = [person(n) for n in range(1, 6)]
        people[1].birth_date = date(1987, 3, 29)
        people[2].seen_at = datetime(2024, 7, 1, 12, 0, 0, 500000, tzinfo=PARIS)
        people[3].age, people[3].salary, people[3].active = 37, Decimal("12.50"), True
        people[4].profile, people[4].badge = {"b": [1, 2.5, None], "a": "é"}, UUID(int=7)
        session.add_all(people)
        session.commit()
        show("ids", [p.id for p in people])
        # All columns, so that every type goes through one statement of many rows.
        whole = [
            person(
                n,
                birth_date=date(2000, 2, n),
                seen_at=datetime(2024, 1, n, tzinfo=timezone.utc),
                age=n,
                salary=Decimal(n) / 4,
                active=n % 2 == 0,
                badge=UUID(int=n),
                profile={"n": n},
                title=f"Titre {n}",
            )
            for n in range(6, 10)
        ]
        # A date and time without zone is read in the session's.
        whole[0].seen_at = datetime(2020, 1, 2, 3, 4, 5)
        whole[1].seen_at = datetime(2020, 7, 2, 3, 4, 5)
        session.add_all(whole)
        session.commit()
        session.add_all([Comment(author=p, body=f"de {p.first_name} {n}") for p in people[:3] for n in range(2)])
        session.commit()
        session.expire_all()
        for p in session.scalars(select(Person).order_by(Person.id)):
            show("person", *row(p), [c.body for c in p.comments])
        # With ids of its own.
        session.add_all([person(n, id=n) for n in (101, 102)])
        session.commit()
        show("own ids", session.scalars(select(Person.first_name).where(Person.id > 100).order_by(Person.id)).all())
        # Core, many rows at once, with and without RETURNING.
        given = [{"email": f"c{n}@x.example", "last_name": f"C{n}"} for n in range(3)]
        show("core", sorted(session.execute(insert(Person).returning(Person.id, Person.last_name), given).all()))
        show("core sorted", session.execute(
            insert(Person).returning(Person.last_name, sort_by_parameter_order=True),
            [{"email": f"d{n}@x.example", "last_name": f"D{n}"} for n in range(3)],
        ).scalars().all())
        session.execute(insert(Person), [{"email": f"e{n}@x.example", "last_name": f"E{n}"} for n in range(3)])
        session.commit()
        # Changing, finding, counting.
        one = session.scalars(select(Person).where(Person.email == "p2@x.example")).one()
        one.last_name, one.seen_at = "Nouveau", datetime(1999, 12, 31, 23, 59, 59)
        session.commit()
        session.refresh(one)
        show("changed", *row(one))
        done = session.execute(update(Person).where(Person.title.like("Titre%")).values(first_name="Pareil"))
        show("updated", done.rowcount)
        session.commit()
        show("found", session.scalars(select(Person.id).where(Person.email.in_(["p1@x.example", "none"]))).all())
        show("joined", session.execute(
            select(Person.first_name, func.count(Comment.id)).join(Comment).group_by(Person.id).order_by(Person.id)
        ).all())
        try:
            session.add_all([person(1), person(50)])
            session.commit()
        except IntegrityError as error:
            show("duplicate", getattr(error.orig, "sqlstate", None) or error.orig.pgcode)
            session.rollback()
        show("count", session.scalar(select(func.count()).select_from(Person)))
        session.delete(session.get(Person, 102))
        session.commit()
        show("left", session.scalar(select(func.count()).select_from(Person)))


if __name__ == "__main__":
    story(create_engine(sys.argv[1]))
