<?php
// The story on PHP's PDO:  on_pdo.php STEPS PORT DATABASE native|emulated
//
// Emulated: PDO puts the values into the text itself.

[, $path, $port, $database, $mode] = $argv;
$pdo = new PDO("pgsql:host=127.0.0.1;port=$port;dbname=$database;user=app", null, null, [
    PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
    PDO::ATTR_EMULATE_PREPARES => $mode === 'emulated',
]);

function steps(string $path): array
{
    $found = [];
    foreach (explode("\n", file_get_contents($path)) as $line) {
        $last = count($found) - 1;
        if (str_starts_with($line, '# ')) {
            $found[] = ['name' => substr($line, 2), 'sql' => '', 'lists' => []];
        } elseif (str_starts_with($line, '> ')) {
            $found[$last]['lists'][] = explode(' | ', substr($line, 2));
        } elseif ($line !== '' && !str_starts_with($line, '//')) {
            $found[$last]['sql'] = $line;
        }
    }
    return $found;
}

function give(PDOStatement $statement, int $n, string $value): void
{
    [$kind, $text] = explode(':', $value, 2);
    if ($text === 'NULL') {
        $statement->bindValue($n, null, PDO::PARAM_NULL);
        return;
    }
    match ($kind) {
        'int4', 'int8' => $statement->bindValue($n, (int) $text, PDO::PARAM_INT),
        'bool' => $statement->bindValue($n, $text === 'true', PDO::PARAM_BOOL),
        'bytea' => $statement->bindValue($n, hex2bin($text), PDO::PARAM_LOB),
        default => $statement->bindValue($n, $text),
    };
}

function shown(mixed $value): mixed
{
    if (is_resource($value)) {
        return 'stream:' . bin2hex(stream_get_contents($value));
    }
    return $value === null || is_string($value) ? $value : gettype($value) . ':' . json_encode($value);
}

function answer(PDOStatement $statement): array
{
    $columns = [];
    for ($n = 0; $n < $statement->columnCount(); $n++) {
        $meta = $statement->getColumnMeta($n);
        $columns[] = [$meta['name'], $meta['native_type'], $meta['pgsql:oid'], $meta['len'], $meta['precision']];
    }
    $rows = $columns ? array_map(fn ($row) => array_map('shown', $row), $statement->fetchAll(PDO::FETCH_NUM)) : [];
    return ['columns' => $columns, 'rows' => $rows, 'count' => $statement->rowCount()];
}

function run(array $step): array
{
    global $pdo;
    if (!$step['lists']) {
        return answer($pdo->query($step['sql']));
    }
    $statement = $pdo->prepare(preg_replace('/\$\d+/', '?', $step['sql']));
    $answers = [];
    foreach ($step['lists'] as $list) {
        foreach ($list as $n => $value) {
            give($statement, $n + 1, $value);
        }
        $statement->execute();
        $answers[] = answer($statement);
    }
    return ['answers' => $answers];
}

function failed(PDOException $e): array
{
    return ['code' => $e->errorInfo[0], 'message' => $e->getMessage()];
}

function attempt(string $step, callable $work): void
{
    try {
        $seen = $work();
    } catch (PDOException $e) {
        $seen = ['error' => failed($e)];
    }
    echo json_encode(['step' => $step] + $seen, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
}

echo json_encode(['driver' => 'PHP PDO', 'version' => PHP_VERSION]), "\n";
foreach (steps($path) as $step) {
    attempt($step['name'], fn () => run($step));
}
attempt('names for parameters', function () use ($pdo) {
    $statement = $pdo->prepare('UPDATE people SET first_name = :name, birth_date = :born WHERE id = :id RETURNING first_name, birth_date');
    $statement->execute(['name' => 'Nommée-Canari', 'born' => '1960-06-06', 'id' => 102]);
    return answer($statement);
});
attempt('a transaction', function () use ($pdo) {
    $pdo->beginTransaction();
    $pdo->exec("UPDATE people SET first_name = 'Bloc-Canari' WHERE id = 102");
    try {
        $pdo->exec("INSERT INTO people (id, email) VALUES (102, 'taken.canari@x.example')");
    } catch (PDOException $e) {
        $error = failed($e);
    }
    $pdo->rollBack();
    return ['error' => $error, 'row' => $pdo->query('SELECT first_name FROM people WHERE id = 102')->fetch(PDO::FETCH_NUM)];
});
attempt('the last id', function () use ($pdo) {
    $pdo->prepare('INSERT INTO people (email, first_name) VALUES (?, ?)')->execute(['last.canari@x.example', 'Dernière-Canari']);
    return ['id' => $pdo->lastInsertId('people_id_seq')];
});
attempt('a cursor', function () use ($pdo) {
    $pdo->beginTransaction();
    $statement = $pdo->prepare('SELECT id, first_name FROM people ORDER BY id', [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
    $statement->execute();
    $rows = [
        $statement->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_NEXT),
        $statement->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_LAST),
        $statement->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_PRIOR),
        $statement->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_ABS, 2),
    ];
    $statement = null;
    $pdo->commit();
    return ['rows' => $rows];
});
attempt('copies', function () use ($pdo) {
    $pdo->pgsqlCopyFromArray('comments', ["102\tcopie-canari\n", "102\t\\N\n"], "\t", '\\\\N', 'author_id, body');
    return ['rows' => $pdo->pgsqlCopyToArray('comments', "\t", '\\\\N', 'author_id, body')];
});
