# ActiveRecord, with models over the tables that are there:  on_activerecord.rb PORT DATABASE prepared|unprepared
#
# What lies in `bytea` columns behind the gateway gets its type by `attribute`: Rails reads types from the catalog.

require 'active_record'
require 'json'

port, database, mode = ARGV
ActiveRecord::Base.establish_connection(adapter: 'postgresql', host: '127.0.0.1', port: port, username: 'app', database: database,
                                        prepared_statements: mode == 'prepared')
ActiveRecord::Base.logger = nil

class Person < ActiveRecord::Base
  self.table_name = 'people'
  has_many :comments, -> { order(:id) }, foreign_key: :author_id
  attribute :birth_date, :date
  attribute :seen_at, :datetime
  attribute :age, :integer
  attribute :points, :big_integer
  attribute :salary, :decimal
  attribute :active, :boolean
  attribute :badge, :uuid
  attribute :profile, :jsonb
  validates :email, uniqueness: true, if: :checked
  attr_accessor :checked
end

class Comment < ActiveRecord::Base
  belongs_to :author, class_name: 'Person', optional: true
end

def shown(value)
  case value
  when nil, true, false, Integer then value
  when String then value.encoding == Encoding::BINARY ? "bytes:#{value.unpack1('H*')}" : value
  when ActiveRecord::Base then shown(value.attributes)
  when ActiveRecord::Relation, Array then value.to_a.map { |one| shown(one) }
  when Hash then value.transform_values { |one| shown(one) }
  when Time, ActiveSupport::TimeWithZone then "Time:#{value.utc.iso8601(6)}"
  else "#{value.class}:#{value}"
  end
end

def attempt(step)
  seen = begin
    { seen: shown(yield) }
  rescue ActiveRecord::ActiveRecordError => e
    cause = e.cause.respond_to?(:result) ? e.cause.result : nil
    { error: { kind: e.class.name, code: cause&.error_field(PG::PG_DIAG_SQLSTATE), message: e.message } }
  end
  puts JSON.generate({ step: step }.merge(seen))
end

puts JSON.generate({ driver: 'ActiveRecord', version: ActiveRecord::VERSION::STRING })
attempt('create') do
  Person.create!(email: 'ana.canari@x.example', first_name: 'Zoë-Canari', last_name: "Lefèvre d'Orléans", birth_date: Date.new(1987, 3, 29), seen_at: Time.utc(2024, 7, 1, 10, 0, 0.5),
                 age: 37, points: 9_007_199_254_740_993, salary: BigDecimal('48213.57'), active: true, badge: '6fa459ea-ee8a-4ca4-894e-db77e160355e',
                 profile: { hobby: 'canari-échecs' }, photo: ['00ffcafec0ffee5c27'].pack('H*')).reload
end
attempt('create with an id of its own') { Person.create!(id: 101, email: 'own.canari@x.example') }
attempt('create with comments') { Person.create!(email: 'com.canari@x.example', comments: [Comment.new(body: 'premier-canari'), Comment.new(body: nil)]).comments }
attempt('insert_all') { Person.insert_all((1..3).map { |n| { email: "m#{n}.canari@x.example", first_name: "Many-Canari #{n}", birth_date: Date.new(2000 + n, 1, 1) } }, returning: %w[id first_name]).rows }
attempt('upsert_all') { Person.upsert_all([{ email: 'm1.canari@x.example', first_name: 'Derechef-Canari' }], unique_by: :email, returning: %w[id first_name]).rows }
attempt('find_by') { Person.find_by(email: 'ana.canari@x.example') }
attempt('nobody') { Person.find_by(email: 'nobody.canari@x.example') }
attempt('the same thing again and again') { (1..8).map { |n| Person.find_by(email: n.even? ? 'ana.canari@x.example' : "m#{n % 4}.canari@x.example")&.first_name } }
attempt('where in') { Person.where(email: %w[ana.canari@x.example m2.canari@x.example none.canari@x.example]).order(:id) }
attempt('where not') { Person.where.not(email: 'ana.canari@x.example').where.not(first_name: nil).order(:id).pluck(:id, :first_name, :birth_date) }
attempt('includes') { Person.includes(:comments).order(:id).map { |p| [p.id, p.comments.map(&:body)] } }
attempt('joins') { Comment.joins(:author).where(people: { email: 'com.canari@x.example' }).order(:id).pluck(:body, 'people.email') }
attempt('pages') { Person.order(:id).offset(1).limit(2) }
attempt('in batches') { Person.find_each(batch_size: 2).map { |p| [p.id, p.first_name] } }
attempt('update') do
  one = Person.find_by!(email: 'ana.canari@x.example')
  one.update!(first_name: 'Ana-Canari', birth_date: nil, profile: ['canari-liste'], photo: nil)
  one.reload
end
attempt('update_all') { Person.where(email: 'm2.canari@x.example').update_all(last_name: 'Deux-Canari', active: false) }
attempt('incremented') { Person.find(101).tap { |p| p.increment!(:version) }.reload.version }
attempt('a validation') { Person.new(email: 'ana.canari@x.example', checked: true).tap(&:valid?).errors.full_messages }
attempt('find_or_create_by') { Person.find_or_create_by!(email: 'foc.canari@x.example') { |p| p.first_name = 'Trouvée-Canari' } }
attempt('create_or_find_by') { Person.create_or_find_by!(email: 'foc.canari@x.example').first_name }
attempt('duplicate') { Person.create!(email: 'ana.canari@x.example') }
attempt('foreign key') { Comment.create!(author_id: 9999, body: 'orphelin-canari') }
attempt('nested transactions') do
  Person.transaction do
    Person.find(1).update!(first_name: 'Bloc-Canari')
    begin
      Person.transaction(requires_new: true) { Person.create!(id: 101, email: 'taken.canari@x.example') }
    rescue ActiveRecord::RecordNotUnique
      nil
    end
  end
  Person.find(1).first_name
end
attempt('rolled back') do
  Person.transaction do
    Person.find(1).update!(first_name: 'Défaite-Canari')
    raise ActiveRecord::Rollback
  end
  Person.find(1).first_name
end
attempt('locked') { Person.transaction { Person.lock.find(1).first_name } }
attempt('counts') { [Person.count, Person.where(email: 'm1.canari@x.example').exists?, Person.maximum(:id), Person.group(:dept_id).count] }
attempt('select_all') { ActiveRecord::Base.connection.select_all('SELECT id, first_name, birth_date FROM people ORDER BY id').rows }
attempt('after a change of the schema') do
  ask = -> { Person.where(email: 'm1.canari@x.example').to_a.map(&:first_name) }
  before = ask.call
  ActiveRecord::Base.connection.execute('ALTER TABLE people ADD COLUMN extra integer')
  [before, ask.call]
ensure
  ActiveRecord::Base.connection.execute('ALTER TABLE people DROP COLUMN extra')
end
attempt('destroy') do
  one = Person.find_by!(email: 'com.canari@x.example')
  one.comments.destroy_all
  one.destroy
end
attempt('left') { Person.order(:id) }
