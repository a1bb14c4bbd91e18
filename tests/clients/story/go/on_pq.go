// The story on Go's lib/pq:  on_pq STEPS PORT DATABASE text|binary
//
// Binary: lib/pq sends binary parameters where it can.
package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"
)

type step struct {
	name, sql string
	lists     [][]interface{}
}

type seen map[string]interface{}

var ctx = context.Background()

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func value(given string) interface{} {
	kind, text, _ := strings.Cut(given, ":")
	if text == "NULL" {
		return nil
	}
	switch kind {
	case "int4", "int8":
		number, err := strconv.ParseInt(text, 10, 64)
		must(err)
		return number
	case "bool":
		return text == "true"
	case "bytea":
		bytes, err := hex.DecodeString(text)
		must(err)
		return bytes
	case "timestamptz":
		at, err := time.Parse(time.RFC3339Nano, text)
		must(err)
		return at
	default:
		return text
	}
}

func steps(path string) []step {
	text, err := os.ReadFile(path)
	must(err)
	var found []step
	for _, line := range strings.Split(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "# "):
			found = append(found, step{name: line[2:]})
		case strings.HasPrefix(line, "> "):
			var list []interface{}
			for _, given := range strings.Split(line[2:], " | ") {
				list = append(list, value(given))
			}
			last := &found[len(found)-1]
			last.lists = append(last.lists, list)
		case line != "" && !strings.HasPrefix(line, "//"):
			found[len(found)-1].sql = line
		}
	}
	return found
}

func shown(cell interface{}) interface{} {
	switch v := cell.(type) {
	case nil, string:
		return v
	case []byte:
		return "bytes:" + hex.EncodeToString(v)
	case time.Time:
		return "time:" + v.Format(time.RFC3339Nano)
	default:
		return fmt.Sprintf("%T:%v", v, v)
	}
}

func answer(rows *sql.Rows, err error) (seen, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	columns := []interface{}{}
	for _, t := range types {
		length, _ := t.Length()
		precision, scale, _ := t.DecimalSize()
		columns = append(columns, []interface{}{t.Name(), t.DatabaseTypeName(), length, precision, scale})
	}
	found := []interface{}{}
	for rows.Next() {
		cells := make([]interface{}, len(types))
		places := make([]interface{}, len(types))
		for n := range cells {
			places[n] = &cells[n]
		}
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		for n := range cells {
			cells[n] = shown(cells[n])
		}
		found = append(found, cells)
	}
	return seen{"columns": columns, "rows": found}, rows.Err()
}

func counted(result sql.Result, err error) (seen, error) {
	if err != nil {
		return nil, err
	}
	count, err := result.RowsAffected()
	return seen{"count": count}, err
}

func gives(sql string) bool {
	return strings.HasPrefix(sql, "SELECT") || strings.Contains(sql, "RETURNING")
}

func run(conn *sql.Conn, s step) (seen, error) {
	if len(s.lists) == 0 {
		if gives(s.sql) {
			return answer(conn.QueryContext(ctx, s.sql))
		}
		return counted(conn.ExecContext(ctx, s.sql))
	}
	if len(s.lists) == 1 {
		if gives(s.sql) {
			return answer(conn.QueryContext(ctx, s.sql, s.lists[0]...))
		}
		return counted(conn.ExecContext(ctx, s.sql, s.lists[0]...))
	}
	statement, err := conn.PrepareContext(ctx, s.sql)
	if err != nil {
		return nil, err
	}
	defer statement.Close()
	answers := []interface{}{}
	for _, list := range s.lists {
		var one seen
		if gives(s.sql) {
			one, err = answer(statement.QueryContext(ctx, list...))
		} else {
			one, err = counted(statement.ExecContext(ctx, list...))
		}
		if err != nil {
			return nil, err
		}
		answers = append(answers, one)
	}
	return seen{"answers": answers}, nil
}

func failed(err error) seen {
	e, ok := err.(*pq.Error)
	if !ok {
		panic(err)
	}
	return seen{"code": string(e.Code), "message": e.Message, "detail": e.Detail, "hint": e.Hint,
		"names": []string{e.Schema, e.Table, e.Column, e.Constraint}, "position": e.Position}
}

func tell(name string, work func() (seen, error)) {
	line, err := work()
	if err != nil {
		line = seen{"error": failed(err)}
	}
	line["step"] = name
	text, err := json.Marshal(line)
	must(err)
	fmt.Println(string(text))
}

func transaction(conn *sql.Conn) (seen, error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec("UPDATE people SET first_name = $1 WHERE id = $2", "Bloc-Canari", 102); err != nil {
		return nil, err
	}
	_, wrong := tx.Exec("INSERT INTO people (id, email) VALUES ($1, $2)", 102, "taken.canari@x.example")
	must(tx.Rollback())
	rows, err := answer(conn.QueryContext(ctx, "SELECT first_name FROM people WHERE id = 102"))
	return seen{"error": failed(wrong), "answer": rows}, err
}

func copyIn(conn *sql.Conn) (seen, error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	statement, err := tx.Prepare(pq.CopyIn("comments", "author_id", "body"))
	if err != nil {
		return nil, err
	}
	for n := 0; n < 3; n++ {
		if _, err := statement.Exec(102, fmt.Sprintf("copie-canari %d", n)); err != nil {
			return nil, err
		}
	}
	if _, err := statement.Exec(); err != nil {
		return nil, err
	}
	must(statement.Close())
	must(tx.Commit())
	return answer(conn.QueryContext(ctx, "SELECT author_id, body FROM comments ORDER BY id"))
}

func arrays(conn *sql.Conn) (seen, error) {
	return answer(conn.QueryContext(ctx, "SELECT id, first_name FROM people WHERE email = ANY($1) ORDER BY id",
		pq.Array([]string{"bea.canari@x.example", "none.canari@x.example", "fay.canari@x.example"})))
}

func main() {
	place := fmt.Sprintf("host=127.0.0.1 port=%s user=app dbname=%s sslmode=disable", os.Args[2], os.Args[3])
	if os.Args[4] == "binary" {
		place += " binary_parameters=yes"
	}
	db, err := sql.Open("postgres", place)
	must(err)
	conn, err := db.Conn(ctx)
	must(err)
	fmt.Printf("{\"driver\":\"Go lib/pq\",\"version\":%q}\n", os.Getenv("VERSION"))
	for _, s := range steps(os.Args[1]) {
		tell(s.name, func() (seen, error) { return run(conn, s) })
	}
	tell("a transaction", func() (seen, error) { return transaction(conn) })
	tell("copied in", func() (seen, error) { return copyIn(conn) })
	tell("an array", func() (seen, error) { return arrays(conn) })
	must(conn.Close())
	must(db.Close())
}
