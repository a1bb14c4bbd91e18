import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;

/**
 * The story on pgjdbc:  java OnJdbc.java STEPS PORT DATABASE PARAMETERS
 *
 * PARAMETERS go into the URL, such as prepareThreshold=1&binaryTransfer=true or reWriteBatchedInserts=true.
 */
public class OnJdbc {
    record Step(String name, String sql, List<String[]> lists) {}

    interface Work {
        String run() throws Exception;
    }

    static Connection conn;

    static String quoted(String text) {
        if (text == null) return "null";
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }

    static String hex(byte[] bytes) {
        StringBuilder out = new StringBuilder();
        for (byte b : bytes) out.append(String.format("%02x", b));
        return out.toString();
    }

    static String shown(Object value) {
        if (value == null) return "null";
        if (value instanceof byte[] bytes) return quoted("byte[]:" + hex(bytes));
        return quoted(value instanceof String text ? text : value.getClass().getSimpleName() + ":" + value);
    }

    static void attempt(String step, Work work) throws Exception {
        String seen;
        try {
            seen = work.run();
        } catch (SQLException e) {
            SQLException first = e instanceof BatchUpdateException && e.getNextException() != null ? e.getNextException() : e;
            seen = "\"error\":" + failed(first);
        }
        System.out.println("{\"step\":" + quoted(step) + "," + seen + "}");
    }

    static String failed(SQLException e) {
        var server = e instanceof PSQLException p ? p.getServerErrorMessage() : null;
        if (server == null) return "{\"code\":" + quoted(e.getSQLState()) + ",\"message\":" + quoted(e.getMessage()) + "}";
        return "{\"code\":" + quoted(server.getSQLState()) + ",\"message\":" + quoted(server.getMessage()) + ",\"detail\":" + quoted(server.getDetail())
            + ",\"hint\":" + quoted(server.getHint()) + ",\"names\":[" + quoted(server.getTable()) + "," + quoted(server.getColumn()) + ","
            + quoted(server.getConstraint()) + "],\"position\":" + server.getPosition() + "}";
    }

    static String rows(ResultSet result) throws SQLException {
        ResultSetMetaData meta = result.getMetaData();
        List<String> columns = new ArrayList<>();
        for (int n = 1; n <= meta.getColumnCount(); n++) {
            columns.add("[" + quoted(meta.getColumnLabel(n)) + "," + quoted(meta.getColumnTypeName(n)) + "," + quoted(meta.getColumnClassName(n)) + ","
                + meta.getPrecision(n) + "," + meta.getScale(n) + "," + meta.getColumnDisplaySize(n) + "]");
        }
        List<String> rows = new ArrayList<>();
        while (result.next()) {
            List<String> cells = new ArrayList<>();
            for (int n = 1; n <= meta.getColumnCount(); n++) cells.add(shown(result.getObject(n)));
            rows.add("[" + String.join(",", cells) + "]");
        }
        return "{\"columns\":[" + String.join(",", columns) + "],\"rows\":[" + String.join(",", rows) + "]}";
    }

    static String answer(Statement statement, boolean hasRows) throws SQLException {
        if (!hasRows) return "{\"count\":" + statement.getUpdateCount() + "}";
        try (ResultSet result = statement.getResultSet()) {
            return rows(result);
        }
    }

    static void give(PreparedStatement statement, int n, String value) throws SQLException {
        String kind = value.substring(0, value.indexOf(':')), text = value.substring(value.indexOf(':') + 1);
        boolean none = text.equals("NULL");
        switch (kind) {
            case "int4" -> statement.setObject(n, none ? null : Integer.valueOf(text), Types.INTEGER);
            case "int8" -> statement.setObject(n, none ? null : Long.valueOf(text), Types.BIGINT);
            case "date" -> statement.setObject(n, none ? null : LocalDate.parse(text), Types.DATE);
            case "timestamptz" -> statement.setObject(n, none ? null : OffsetDateTime.parse(text), Types.TIMESTAMP_WITH_TIMEZONE);
            case "numeric" -> statement.setObject(n, none ? null : new BigDecimal(text), Types.NUMERIC);
            case "bool" -> statement.setObject(n, none ? null : text.equals("true"), Types.BOOLEAN);
            case "uuid" -> statement.setObject(n, none ? null : UUID.fromString(text));
            case "jsonb" -> {
                PGobject json = new PGobject();
                json.setType("jsonb");
                json.setValue(none ? null : text);
                statement.setObject(n, json);
            }
            case "bytea" -> statement.setBytes(n, none ? null : bytes(text));
            default -> statement.setString(n, none ? null : text);
        }
    }

    static byte[] bytes(String hex) {
        byte[] out = new byte[hex.length() / 2];
        for (int n = 0; n < out.length; n++) out[n] = (byte) Integer.parseInt(hex.substring(2 * n, 2 * n + 2), 16);
        return out;
    }

    static void give(PreparedStatement statement, String[] list) throws SQLException {
        for (int n = 0; n < list.length; n++) give(statement, n + 1, list[n]);
    }

    static String run(Step step) throws SQLException {
        if (step.lists.isEmpty()) {
            try (Statement statement = conn.createStatement()) {
                return "\"answer\":" + answer(statement, statement.execute(step.sql));
            }
        }
        try (PreparedStatement statement = conn.prepareStatement(step.sql.replaceAll("\\$\\d+", "?"))) {
            if (step.name.startsWith("batch")) {
                for (String[] list : step.lists) {
                    give(statement, list);
                    statement.addBatch();
                }
                return "\"counts\":" + java.util.Arrays.toString(statement.executeBatch());
            }
            List<String> answers = new ArrayList<>();
            for (String[] list : step.lists) {
                give(statement, list);
                answers.add(answer(statement, statement.execute()));
            }
            return "\"answers\":[" + String.join(",", answers) + "]";
        }
    }

    static List<Step> steps(String path) throws Exception {
        List<Step> found = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(path))) {
            int last = found.size() - 1;
            if (line.startsWith("# ")) found.add(new Step(line.substring(2), null, new ArrayList<>()));
            else if (line.startsWith("> ")) found.get(last).lists.add(line.substring(2).split(" \\| ", -1));
            else if (!line.isEmpty() && !line.startsWith("//")) found.set(last, new Step(found.get(last).name, line, new ArrayList<>()));
        }
        return found;
    }

    /** Ids that the database makes, asked for by JDBC: pgjdbc adds RETURNING to the statement. */
    static String generatedKeys() throws SQLException {
        try (PreparedStatement statement = conn.prepareStatement("INSERT INTO people (email, first_name) VALUES (?, ?)", new String[] {"id", "first_name"})) {
            for (int n = 0; n < 3; n++) {
                statement.setString(1, "key" + n + ".canari@x.example");
                statement.setString(2, "Clef-Canari " + n);
                statement.addBatch();
            }
            statement.executeBatch();
            return "\"keys\":" + rows(statement.getGeneratedKeys());
        }
    }

    /** Used ten times: pgjdbc prepares on the server from the fifth time on, and then asks for binary values. */
    static String often() throws SQLException {
        List<String> answers = new ArrayList<>();
        try (PreparedStatement statement = conn.prepareStatement("SELECT id, first_name, birth_date, seen_at, points, salary, active, badge, profile, photo FROM people WHERE id = ?")) {
            for (int n = 0; n < 10; n++) {
                statement.setInt(1, n % 2 == 0 ? 102 : 1);
                answers.add(rows(statement.executeQuery()));
            }
        }
        return "\"answers\":[" + String.join(",", answers) + "]";
    }

    /** Rows by the portal of a cursor: fetch size, without autocommit. */
    static String byPortions() throws SQLException {
        conn.setAutoCommit(false);
        try (PreparedStatement statement = conn.prepareStatement("SELECT id, first_name, birth_date FROM people ORDER BY id")) {
            statement.setFetchSize(2);
            return "\"answer\":" + rows(statement.executeQuery());
        } finally {
            conn.commit();
            conn.setAutoCommit(true);
        }
    }

    static String atMost() throws SQLException {
        try (PreparedStatement statement = conn.prepareStatement("SELECT id, first_name FROM people ORDER BY id")) {
            statement.setMaxRows(3);
            return "\"answer\":" + rows(statement.executeQuery());
        }
    }

    static String savepoints() throws SQLException {
        conn.setAutoCommit(false);
        String error = null;
        try (PreparedStatement update = conn.prepareStatement("UPDATE people SET first_name = ? WHERE id = ?")) {
            update.setString(1, "Bloc-Canari");
            update.setInt(2, 102);
            update.executeUpdate();
            var point = conn.setSavepoint();
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO people (id, email) VALUES (102, ?)")) {
                insert.setString(1, "taken.canari@x.example");
                insert.executeUpdate();
            } catch (SQLException e) {
                error = failed(e);
                conn.rollback(point);
            }
            conn.commit();
        } finally {
            conn.setAutoCommit(true);
        }
        try (Statement statement = conn.createStatement()) {
            return "\"error\":" + error + ",\"answer\":" + rows(statement.executeQuery("SELECT first_name FROM people WHERE id = 102"));
        }
    }

    /** A batch with an error in the middle. */
    static String wrongBatch() throws SQLException {
        try (PreparedStatement statement = conn.prepareStatement("INSERT INTO people (id, email, first_name) VALUES (?, ?, ?)")) {
            for (int id : new int[] {401, 102, 402}) {
                statement.setInt(1, id);
                statement.setString(2, "wrong" + id + ".canari@x.example");
                statement.setString(3, "Lot-Canari " + id);
                statement.addBatch();
            }
            try {
                statement.executeBatch();
                return "\"error\":null";
            } catch (BatchUpdateException e) {
                return "\"counts\":" + java.util.Arrays.toString(e.getUpdateCounts()) + ",\"error\":" + failed(e.getNextException());
            }
        }
    }

    /** Statements of several kinds in one batch. */
    static String mixedBatch() throws SQLException {
        try (Statement statement = conn.createStatement()) {
            statement.addBatch("UPDATE people SET first_name = 'Lot-Canari' WHERE id = 102");
            statement.addBatch("INSERT INTO comments (author_id, body) VALUES (102, 'lot-canari')");
            statement.addBatch("DELETE FROM comments WHERE body IS NULL");
            return "\"counts\":" + java.util.Arrays.toString(statement.executeBatch());
        }
    }

    /** A batch of changes, often enough that its statement is prepared on the server. */
    static String manyChanges() throws SQLException {
        int sum = 0;
        try (PreparedStatement statement = conn.prepareStatement("UPDATE people SET last_name = ?, age = ? WHERE id = ?")) {
            for (int round = 0; round < 8; round++) {
                for (int n = 0; n < 20; n++) {
                    statement.setString(1, "Nom-Canari " + round);
                    statement.setInt(2, n);
                    statement.setInt(3, n);
                    statement.addBatch();
                }
                for (int count : statement.executeBatch()) sum += count;
            }
        }
        try (Statement statement = conn.createStatement()) {
            return "\"sum\":" + sum + ",\"answer\":" + rows(statement.executeQuery("SELECT id, last_name, age FROM people WHERE id < 20 ORDER BY id"));
        }
    }

    /** A result that can be changed in place. */
    static String updatableRows() throws SQLException {
        try (Statement statement = conn.createStatement(ResultSet.TYPE_SCROLL_SENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
            ResultSet result = statement.executeQuery("SELECT id, first_name FROM people WHERE id = 102");
            result.next();
            result.updateString("first_name", "En place-Canari");
            result.updateRow();
            return "\"now\":" + quoted(result.getString("first_name"));
        }
    }

    static String copies() throws Exception {
        var copy = conn.unwrap(PGConnection.class).getCopyAPI();
        long count = copy.copyIn("COPY comments (author_id, body) FROM STDIN", new StringReader("102\tcopie-canari\n102\t\\N\n"));
        StringWriter out = new StringWriter();
        copy.copyOut("COPY (SELECT author_id, body FROM comments ORDER BY id) TO STDOUT (FORMAT csv)", out);
        return "\"count\":" + count + ",\"text\":" + quoted(out.toString());
    }

    /** pgjdbc prepares again by itself when the server says that a plan must not change its result. */
    static String afterAChangeOfTheSchema() throws SQLException {
        List<String> answers = new ArrayList<>();
        try (PreparedStatement statement = conn.prepareStatement("SELECT * FROM comments WHERE author_id = ? ORDER BY id LIMIT 1"); Statement other = conn.createStatement()) {
            for (int n = 0; n < 14; n++) {
                if (n == 7) other.execute("ALTER TABLE comments ADD COLUMN extra integer");
                statement.setInt(1, 102);
                answers.add(rows(statement.executeQuery()));
            }
            other.execute("ALTER TABLE comments DROP COLUMN extra");
        }
        return "\"answers\":[" + String.join(",", answers) + "]";
    }

    static String tables() throws SQLException {
        var meta = conn.getMetaData();
        List<String> seen = new ArrayList<>();
        seen.add(quoted(meta.getDatabaseProductVersion()));
        try (ResultSet keys = meta.getPrimaryKeys(null, "public", "people")) {
            while (keys.next()) seen.add(quoted(keys.getString("COLUMN_NAME")));
        }
        try (ResultSet columns = meta.getColumns(null, "public", "people", "%")) {
            while (columns.next()) seen.add(quoted(columns.getString("COLUMN_NAME") + " " + columns.getInt("NULLABLE")));
        }
        return "\"seen\":[" + String.join(",", seen) + "]";
    }

    public static void main(String[] words) throws Exception {
        System.setOut(new java.io.PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), true, "UTF-8"));
        conn = DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + words[1] + "/" + words[2] + "?user=app&" + words[3]);
        System.out.println("{\"driver\":\"JDBC (pgjdbc)\",\"version\":" + quoted(org.postgresql.util.DriverInfo.DRIVER_VERSION) + "}");
        for (Step step : steps(words[0])) attempt(step.name, () -> run(step));
        attempt("generated keys", OnJdbc::generatedKeys);
        attempt("the same statement often", OnJdbc::often);
        attempt("by portions", OnJdbc::byPortions);
        attempt("at most so many rows", OnJdbc::atMost);
        attempt("savepoints", OnJdbc::savepoints);
        attempt("a batch with an error", OnJdbc::wrongBatch);
        attempt("a batch of several statements", OnJdbc::mixedBatch);
        attempt("many changes in batches", OnJdbc::manyChanges);
        attempt("a row changed in place", OnJdbc::updatableRows);
        attempt("copies", OnJdbc::copies);
        attempt("after a change of the schema", OnJdbc::afterAChangeOfTheSchema);
        attempt("what is known of the table", OnJdbc::tables);
        conn.close();
    }
}
