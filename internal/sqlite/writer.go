package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite"
)

// maxBatch bounds how many writes share one commit.
const maxBatch = 256

// errClosed is what writes get after Close.
var errClosed = errors.New("the store is closed")

// writer owns the only connection that writes. All writes that wait while one commit is under way share the next one, so
// that many durable writes cost one synchronisation of the disk.
type writer struct {
	db    *sql.DB
	queue chan *write
	done  chan struct{} // closed when run has returned
	bad   atomic.Bool   // the last commit failed

	mu     sync.RWMutex // guards closed, and sends on queue against its closing
	closed bool
}

type write struct {
	ctx     context.Context
	durable bool
	fn      func(*txn) error
	err     chan error
}

func newWriter(db *sql.DB) *writer {
	w := &writer{db: db, queue: make(chan *write, maxBatch), done: make(chan struct{})}
	go w.run()
	return w
}

func (w *writer) failing() bool { return w.bad.Load() }

func (w *writer) submit(ctx context.Context, durable bool, fn func(*txn) error) error {
	op := &write{ctx: ctx, durable: durable, fn: fn, err: make(chan error, 1)}
	if err := w.enqueue(op); err != nil {
		return err
	}
	select {
	case err := <-op.err:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *writer) enqueue(op *write) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	select {
	case w.queue <- op:
		return nil
	case <-op.ctx.Done():
		return context.Cause(op.ctx)
	}
}

func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	close(w.queue)
	w.mu.Unlock()
	<-w.done
	return errors.Join(markClean(w.db), w.db.Close())
}

func (w *writer) run() {
	defer close(w.done)
	s := &session{db: w.db, statements: map[string]*sql.Stmt{}, full: true}
	defer s.end()
	batch := make([]*write, 0, maxBatch)
	for first := range w.queue {
		batch = append(batch[:0], first)
		for more := true; more && len(batch) < maxBatch; {
			select {
			case op, open := <-w.queue:
				if more = open; open {
					batch = append(batch, op)
				}
			default:
				more = false
			}
		}
		w.commit(s, batch)
	}
}

// commit runs the batch in one transaction. Where that fails for one write's sake, each gets a transaction of its own.
func (w *writer) commit(s *session, batch []*write) {
	errs, err := s.transact(batch)
	if err != nil && len(batch) > 1 {
		for _, op := range batch {
			w.commit(s, []*write{op})
		}
		return
	}
	w.bad.Store(err != nil)
	for i, op := range batch {
		if err != nil {
			op.err <- err
			continue
		}
		op.err <- errs[i]
	}
}

// session is the writing connection with what is prepared on it.
type session struct {
	db         *sql.DB
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	full       bool // PRAGMA synchronous is FULL, else NORMAL
}

func (s *session) end() {
	for _, st := range s.statements {
		_ = st.Close() // the connection goes anyway
	}
	if s.conn != nil {
		_ = s.conn.Close() // gives it back to db, whose Close reports
	}
}

// transact returns one error per write, or one that undid all of them.
func (s *session) transact(batch []*write) (errs []error, err error) {
	ctx := context.WithoutCancel(batch[0].ctx) // half a batch must not be given up for one caller
	durable := false
	for _, op := range batch {
		durable = durable || op.durable
	}
	if s.conn == nil {
		if s.conn, err = s.db.Conn(ctx); err != nil {
			return nil, err
		}
	}
	if durable != s.full {
		level := `PRAGMA synchronous = NORMAL`
		if durable {
			level = `PRAGMA synchronous = FULL`
		}
		if _, err := s.conn.ExecContext(ctx, level); err != nil {
			return nil, err
		}
		s.full = durable
	}
	t := &txn{s: s, ctx: ctx}
	if _, err := t.exec(`BEGIN IMMEDIATE`); err != nil {
		return nil, err
	}
	errs = make([]error, len(batch))
	for i, op := range batch {
		if errs[i] = context.Cause(op.ctx); errs[i] != nil {
			continue // nobody waits for it any more
		}
		errs[i] = op.fn(t)
		if fault := (*sqlite.Error)(nil); errors.As(errs[i], &fault) {
			return nil, errors.Join(errs[i], t.rollback())
		}
	}
	if _, err := t.exec(`COMMIT`); err != nil {
		return nil, errors.Join(err, t.rollback())
	}
	return errs, nil
}

// txn is the transaction that is open on the writing connection.
type txn struct {
	s   *session
	ctx context.Context // of the batch
}

// rollback ends the transaction; SQLite has already done so after some errors.
func (t *txn) rollback() error {
	_, err := t.s.conn.ExecContext(t.ctx, `ROLLBACK`)
	if fault := (*sqlite.Error)(nil); errors.As(err, &fault) && fault.Code() == 1 { // "no transaction is active"
		return nil
	}
	return err
}

func (t *txn) prepare(query string) (*sql.Stmt, error) {
	if st, ok := t.s.statements[query]; ok {
		return st, nil
	}
	st, err := t.s.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, err
	}
	t.s.statements[query] = st
	return st, nil
}

// exec runs a statement and returns how many rows it has changed.
func (t *txn) exec(query string, args ...any) (changed int64, err error) {
	st, err := t.prepare(query)
	if err != nil {
		return 0, err
	}
	r, err := st.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// row reads one row into dest; found is false where there is none.
func (t *txn) row(query string, args []any, dest ...any) (found bool, err error) {
	st, err := t.prepare(query)
	if err != nil {
		return false, err
	}
	err = st.QueryRowContext(t.ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
