"""What SQLAlchemy's reflection says of the tables: columns, keys, indexes; and the DDL that it would make of them."""

import sys

from sqlalchemy import MetaData, create_engine, inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

engine = create_engine(sys.argv[1])
inspector = inspect(engine)
print(sorted(inspector.get_schema_names()))
print(inspector.get_domains(schema="*") if hasattr(inspector, "get_domains") else None)
for table in ["people", "comments", "logins"]:
    for column in inspector.get_columns(table):
        print(table, column["name"], repr(column["type"]), column["nullable"], column["default"])
    print(inspector.get_pk_constraint(table), inspector.get_foreign_keys(table), inspector.get_unique_constraints(table))
metadata = MetaData()
metadata.reflect(engine)
for table in metadata.sorted_tables:
    print(CreateTable(table).compile(dialect=postgresql.dialect()))
