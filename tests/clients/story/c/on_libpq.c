/* The story on libpq:  on_libpq STEPS PORT DATABASE text|binary
 *
 * A batch is a pipeline; then pipelines with an error at every position, rows one by one, COPY, and a cancelled query. */

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 20, LISTS = 8 };

static PGconn *conn;
static int binary;

static void quoted(const char *text) {
  if (text == NULL) {
    fputs("null", stdout);
    return;
  }
  putchar('"');
  for (; *text; text++) {
    if (*text == '"' || *text == '\\')
      printf("\\%c", *text);
    else if ((unsigned char)*text < ' ')
      printf("\\u%04x", *text);
    else
      putchar(*text);
  }
  putchar('"');
}

static void hex(const char *bytes, int length) {
  putchar('"');
  for (int n = 0; n < length; n++) printf("%02x", (unsigned char)bytes[n]);
  putchar('"');
}

static void member(const char *name, const char *text) {
  printf(",\"%s\":", name);
  quoted(text);
}

static void error_of(const PGresult *result) {
  static const struct { const char *name; int field; } fields[] = {
      {"code", PG_DIAG_SQLSTATE}, {"message", PG_DIAG_MESSAGE_PRIMARY}, {"detail", PG_DIAG_MESSAGE_DETAIL},
      {"hint", PG_DIAG_MESSAGE_HINT}, {"severity", PG_DIAG_SEVERITY_NONLOCALIZED}, {"table", PG_DIAG_TABLE_NAME},
      {"column", PG_DIAG_COLUMN_NAME}, {"constraint", PG_DIAG_CONSTRAINT_NAME}, {"position", PG_DIAG_STATEMENT_POSITION}};
  fputs("\"error\":{\"of\":\"libpq\"", stdout);
  for (size_t n = 0; n < sizeof fields / sizeof *fields; n++) member(fields[n].name, PQresultErrorField(result, fields[n].field));
  putchar('}');
}

/* {"status", "tag", "columns", "rows"} or {"error"}; the result is cleared. */
static void answer(PGresult *result) {
  ExecStatusType status = PQresultStatus(result);
  putchar('{');
  if (status == PGRES_FATAL_ERROR) {
    error_of(result);
  } else {
    printf("\"status\":\"%s\"", PQresStatus(status));
    member("tag", PQcmdStatus(result));
    fputs(",\"columns\":[", stdout);
    for (int n = 0; n < PQnfields(result); n++) {
      printf("%s[", n ? "," : "");
      quoted(PQfname(result, n));
      printf(",%u,%d,%d,%d,%d]", PQftype(result, n), PQfsize(result, n), PQfmod(result, n), PQftablecol(result, n), PQfformat(result, n));
    }
    fputs("],\"rows\":[", stdout);
    for (int row = 0; row < PQntuples(result); row++) {
      printf("%s[", row ? "," : "");
      for (int n = 0; n < PQnfields(result); n++) {
        if (n) putchar(',');
        if (PQgetisnull(result, row, n))
          fputs("null", stdout);
        else if (PQfformat(result, n))
          hex(PQgetvalue(result, row, n), PQgetlength(result, row, n));
        else
          quoted(PQgetvalue(result, row, n));
      }
      putchar(']');
    }
    putchar(']');
  }
  putchar('}');
  PQclear(result);
}

/* One step, read from the file. */
struct step {
  char *name, *sql;
  int lists, count;
  char *values[LISTS][MOST];
  char *types[MOST];
};

static void parameters(struct step *step, char *line) {
  int n = 0;
  for (char *at = line; at; n++) {
    char *end = strstr(at, " | ");
    if (end) *end = 0;
    char *colon = strchr(at, ':');
    *colon = 0;
    step->types[n] = at;
    step->values[step->lists][n] = strcmp(colon + 1, "NULL") ? colon + 1 : NULL;
    at = end ? end + 3 : NULL;
  }
  step->count = n;
  step->lists++;
}

struct sent {
  const char *values[MOST];
  int lengths[MOST], formats[MOST];
  unsigned char room[MOST][64];
};

/* A value as it is sent: in binary form where that is easily made, bytea always; else its text. */
static void send_form(struct sent *sent, int n, const char *type, const char *text) {
  sent->values[n] = text;
  sent->formats[n] = 0;
  sent->lengths[n] = 0;
  unsigned char *room = sent->room[n];
  int length = 0;
  if (text == NULL) return;
  bool is_int4 = !strcmp(type, "int4"), is_int8 = !strcmp(type, "int8");
  if (!strcmp(type, "bytea")) {
    for (; text[2 * length]; length++) sscanf(text + 2 * length, "%2hhx", &room[length]);
  } else if (binary && (is_int4 || is_int8)) {
    long long number = atoll(text);
    length = is_int4 ? 4 : 8;
    for (int b = 0; b < length; b++) room[b] = (unsigned char)((unsigned long long)number >> (8 * (length - 1 - b)));
  } else if (binary && !strcmp(type, "bool")) {
    room[0] = *text == 't';
    length = 1;
  } else if (binary && (!strcmp(type, "text") || !strcmp(type, "varchar"))) {
    sent->formats[n] = 1;
    sent->lengths[n] = (int)strlen(text);
    return;
  } else {
    return;
  }
  sent->formats[n] = 1;
  sent->lengths[n] = length;
  sent->values[n] = (const char *)room;
}

static struct sent *sent_of(const struct step *step, int list) {
  static struct sent sent;
  for (int n = 0; n < step->count; n++) send_form(&sent, n, step->types[n], step->values[list][n]);
  return &sent;
}

static void described(const char *statement) {
  PGresult *result = PQdescribePrepared(conn, statement);
  fputs("\"parameters\":[", stdout);
  for (int n = 0; n < PQnparams(result); n++) printf("%s%u", n ? "," : "", PQparamtype(result, n));
  fputs("],\"described\":", stdout);
  answer(result);
  putchar(',');
}

static void all_results(void) {
  PGresult *result;
  bool first = true;
  while ((result = PQgetResult(conn)) != NULL) {
    if (!first) putchar(',');
    first = false;
    answer(result);
  }
}

static void run(struct step *step) {
  if (step->lists == 0) {
    fputs("\"answer\":", stdout);
    answer(PQexec(conn, step->sql));
  } else if (!strncmp(step->name, "batch", 5)) {
    PQenterPipelineMode(conn);
    PQsendPrepare(conn, "batch", step->sql, 0, NULL);
    for (int list = 0; list < step->lists; list++) {
      struct sent *sent = sent_of(step, list);
      PQsendQueryPrepared(conn, "batch", step->count, sent->values, sent->lengths, sent->formats, binary);
    }
    PQpipelineSync(conn);
    fputs("\"answers\":[", stdout);
    for (int list = 0; list < step->lists + 2; list++) {
      if (list) putchar(',');
      all_results();
    }
    putchar(']');
    PQexitPipelineMode(conn);
  } else if (step->lists > 1) {
    PQclear(PQprepare(conn, step->name, step->sql, 0, NULL));
    described(step->name);
    fputs("\"answers\":[", stdout);
    for (int list = 0; list < step->lists; list++) {
      struct sent *sent = sent_of(step, list);
      if (list) putchar(',');
      answer(PQexecPrepared(conn, step->name, step->count, sent->values, sent->lengths, sent->formats, binary));
    }
    putchar(']');
  } else {
    struct sent *sent = sent_of(step, 0);
    fputs("\"answer\":", stdout);
    answer(PQexecParams(conn, step->sql, step->count, NULL, sent->values, sent->lengths, sent->formats, binary));
  }
}

static void tell(const char *name, void (*work)(struct step *), struct step *step) {
  fputs("{\"step\":", stdout);
  quoted(name);
  putchar(',');
  work(step);
  puts("}");
}

static void pipelines(struct step *unused) {
  (void)unused;
  const char *person[] = {"102"};
  fputs("\"pipelines\":[", stdout);
  for (int wrong = -1; wrong < 6; wrong++) {
    if (wrong >= 0) putchar(',');
    putchar('[');
    PQenterPipelineMode(conn);
    for (int n = 0; n < 6; n++) {
      const char *sql = n == wrong ? (n % 2 ? "INSERT INTO people (id, email) VALUES ($1, 'taken.canari@x.example')" : "SELECT first_name FROM people WHERE id / ($1 - 102) = 1")
                        : n % 3 == 0 ? "UPDATE people SET first_name = 'Tube-Canari', version = version + 1 WHERE id = $1 RETURNING first_name, version"
                        : n % 3 == 1 ? "SELECT first_name, birth_date FROM people WHERE id = $1"
                                     : "INSERT INTO comments (author_id, body) VALUES ($1, 'tube-canari') RETURNING body";
      PQsendQueryParams(conn, sql, 1, NULL, person, NULL, NULL, binary);
      if (n == 2) PQpipelineSync(conn);
    }
    PQpipelineSync(conn);
    for (int n = 0; n < 7; n++) {
      if (n) putchar(',');
      all_results();
    }
    PQexitPipelineMode(conn);
    printf(",\"%d\"]", PQtransactionStatus(conn));
  }
  putchar(']');
}

static void row_by_row(struct step *unused) {
  (void)unused;
  PQsendQuery(conn, "SELECT id, first_name, birth_date FROM people ORDER BY id");
  PQsetSingleRowMode(conn);
  fputs("\"rows\":[", stdout);
  all_results();
  putchar(']');
}

static void copies(struct step *unused) {
  (void)unused;
  const char *data = "102\tcopie-canari\n102\t\\N\n";
  PQclear(PQexec(conn, "COPY comments (author_id, body) FROM STDIN"));
  PQputCopyData(conn, data, 9);
  PQputCopyData(conn, data + 9, (int)strlen(data) - 9);
  PQputCopyEnd(conn, NULL);
  fputs("\"answers\":[", stdout);
  all_results();
  PQclear(PQexec(conn, "COPY comments (author_id, body) FROM STDIN"));
  PQputCopyData(conn, "102\tperdue-canari\n", 18);
  PQputCopyEnd(conn, "given up");
  putchar(',');
  all_results();
  PQclear(PQexec(conn, "COPY (SELECT author_id, body FROM comments ORDER BY id) TO STDOUT"));
  char *line;
  while (PQgetCopyData(conn, &line, 0) > 0) {
    putchar(',');
    quoted(line);
    PQfreemem(line);
  }
  putchar(',');
  all_results();
  putchar(']');
}

static void cancelled(struct step *unused) {
  (void)unused;
  char error[256];
  PGcancel *cancel = PQgetCancel(conn);
  PQsendQuery(conn, "SELECT first_name, pg_sleep(60) FROM people WHERE id = 102");
  /* Again until it has begun: a cancel that comes before it is lost, as Postgres has it. */
  while (PQisBusy(conn)) {
    PQcancel(cancel, error, sizeof error);
    PQconsumeInput(conn);
  }
  fputs("\"answers\":[", stdout);
  all_results();
  putchar(']');
  PQfreeCancel(cancel);
  /* What cancels were under way may hit what comes next: none does once this has come through. */
  for (int well = 0; well < 3;) {
    PGresult *result = PQexec(conn, "SELECT 1");
    well = PQresultStatus(result) == PGRES_TUPLES_OK ? well + 1 : 0;
    PQclear(result);
  }
}

int main(int count, char **words) {
  if (count != 5) return 2;
  binary = !strcmp(words[4], "binary");
  char place[256], *line = NULL;
  size_t room = 0;
  snprintf(place, sizeof place, "host=127.0.0.1 port=%s user=app dbname=%s", words[2], words[3]);
  conn = PQconnectdb(place);
  if (PQstatus(conn) != CONNECTION_OK) {
    fputs(PQerrorMessage(conn), stderr);
    return 1;
  }
  int version = PQlibVersion();
  printf("{\"driver\":\"libpq\",\"version\":\"%d.%d\"}\n", version / 10000, version % 10000);
  FILE *file = fopen(words[1], "r");
  struct step step = {0};
  while (true) {
    bool more = getline(&line, &room, file) >= 0;
    if (more) line[strcspn(line, "\n")] = 0;
    if (!more || !strncmp(line, "# ", 2)) {
      if (step.sql) tell(step.name, run, &step);
      if (!more) break;
      step = (struct step){.name = strdup(line + 2)};
    } else if (!strncmp(line, "> ", 2)) {
      parameters(&step, strdup(line + 2));
    } else if (*line && strncmp(line, "//", 2)) {
      step.sql = strdup(line);
    }
  }
  tell("pipelines with an error at every position", pipelines, NULL);
  tell("row by row", row_by_row, NULL);
  tell("copies", copies, NULL);
  tell("cancelled", cancelled, NULL);
  PQfinish(conn);
  return 0;
}
