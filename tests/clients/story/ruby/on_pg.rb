# The story on Ruby's pg:  on_pg.rb STEPS PORT DATABASE text|binary

require 'json'
require 'pg'
require 'bigdecimal'

PATH, PORT, DATABASE, MODE = ARGV
FORMAT = MODE == 'binary' ? 1 : 0
CONN = PG.connect(host: '127.0.0.1', port: PORT, user: 'app', dbname: DATABASE)
CONN.set_notice_processor { |_| }

def steps
  File.read(PATH, encoding: 'UTF-8').each_line(chomp: true).each_with_object([]) do |line, found|
    if line.start_with?('# ') then found << { name: line[2..], lists: [] }
    elsif line.start_with?('> ') then found.last[:lists] << line[2..].split(' | ').map { |value| value.split(':', 2) }
    elsif !line.empty? && !line.start_with?('//') then found.last[:sql] = line
    end
  end
end

def given((kind, text))
  return nil if text == 'NULL'

  kind == 'bytea' ? { value: [text].pack('H*'), format: 1 } : text
end

def shown(value)
  case value
  when nil then nil
  when String then value.encoding == Encoding::BINARY ? "bytes:#{value.unpack1('H*')}" : value
  else "#{value.class}:#{value}"
  end
end

def answer(result)
  columns = (0...result.nfields).map { |n| [result.fname(n), result.ftype(n), result.fmod(n), result.fsize(n), result.ftablecol(n), result.fformat(n)] }
  { columns: columns, rows: result.values.map { |row| row.map { |cell| shown(cell) } }, tag: result.cmd_status, count: result.cmd_tuples }
end

def failed(error)
  field = ->(code) { error.result&.error_field(code) }
  { code: field[PG::PG_DIAG_SQLSTATE], message: field[PG::PG_DIAG_MESSAGE_PRIMARY], detail: field[PG::PG_DIAG_MESSAGE_DETAIL], hint: field[PG::PG_DIAG_MESSAGE_HINT],
    names: [field[PG::PG_DIAG_TABLE_NAME], field[PG::PG_DIAG_COLUMN_NAME], field[PG::PG_DIAG_CONSTRAINT_NAME]], position: field[PG::PG_DIAG_STATEMENT_POSITION] }
end

def attempt(step)
  seen = begin
    yield
  rescue PG::Error => e
    { error: failed(e) }
  end
  puts JSON.generate({ step: step }.merge(seen))
end

def run(step)
  lists = step[:lists].map { |list| list.map { |value| given(value) } }
  return answer(CONN.exec(step[:sql])) if lists.empty?
  return answer(CONN.exec_params(step[:sql], lists[0], FORMAT)) if lists.size == 1
  return pipelined(step[:sql], lists) if step[:name].start_with?('batch')

  CONN.prepare(step[:name], step[:sql])
  described = answer(CONN.describe_prepared(step[:name]))
  { described: described, answers: lists.map { |list| answer(CONN.exec_prepared(step[:name], list, FORMAT)) } }
end

def pipelined(sql, lists)
  CONN.enter_pipeline_mode
  lists.each { |list| CONN.send_query_params(sql, list, FORMAT) }
  CONN.pipeline_sync
  answers = lists.map do
    result = CONN.get_result
    CONN.get_result
    answer(result)
  end
  CONN.get_result
  CONN.exit_pipeline_mode
  { answers: answers }
end

puts JSON.generate({ driver: 'Ruby pg', version: PG::VERSION })
steps.each { |step| attempt(step[:name]) { run(step) } }
attempt('values as Ruby has them') do
  CONN.type_map_for_results = PG::BasicTypeMapForResults.new(CONN)
  result = CONN.exec_params('SELECT id, first_name, birth_date, seen_at, points, salary, active, photo FROM people ORDER BY id', [], FORMAT)
  CONN.type_map_for_results = PG::TypeMapAllStrings.new
  { rows: result.values.map { |row| row.map { |cell| shown(cell) } } }
end
attempt('a transaction') do
  error = nil
  CONN.transaction do |conn|
    conn.exec_params('UPDATE people SET first_name = $1 WHERE id = $2', ['Bloc-Canari', 102])
    begin
      conn.transaction { conn.exec("INSERT INTO people (id, email) VALUES (102, 'taken.canari@x.example')") }
    rescue PG::Error => e
      error = failed(e)
    end
  end
  { error: error, row: answer(CONN.exec('SELECT first_name FROM people WHERE id = 102')) }
end
attempt('row by row') do
  CONN.send_query('SELECT id, first_name FROM people ORDER BY id')
  CONN.set_single_row_mode
  { rows: CONN.get_result.stream_each_row.to_a }
end
attempt('copies') do
  CONN.copy_data('COPY comments (author_id, body) FROM STDIN') { CONN.put_copy_data("102\tcopie-canari\n102\t\\N\n") }
  rows = []
  CONN.copy_data('COPY (SELECT author_id, body FROM comments ORDER BY id) TO STDOUT') do
    while (row = CONN.get_copy_data)
      rows << row.force_encoding('UTF-8')
    end
  end
  { rows: rows }
end
CONN.close
