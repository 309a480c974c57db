package storage

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// standing waits until so many stand in line, and so many patient ones.
func (l *line) standing(t *testing.T, ops, patient int) {
	t.Helper()
	for range 20_000 {
		l.mu.Lock()
		there := len(l.ops) == ops && len(l.patient) == patient
		l.mu.Unlock()
		if there {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("not %d and %d stand in line", ops, patient)
}

// TestAV2_PatientWritesStandBehind: what came first and is patient has its turn
// after what came later and is not.
func TestAV2_PatientWritesStandBehind(t *testing.T) {
	ts := newTestStore(t)
	entered, hold := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		if err := ts.Write(t.Context(), System, func(tx *Tx) error { close(entered); <-hold; return beat(tx) }); err != nil {
			t.Error(err)
		}
	})
	<-entered
	var order []string // of the writer
	turn := func(name string) func(*Tx) error {
		return func(tx *Tx) error { order = append(order, name); return beat(tx) }
	}
	line := ts.writer.line
	all.Go(func() {
		if err := ts.WritePatiently(t.Context(), System, turn("patient")); err != nil {
			t.Error(err)
		}
	})
	line.standing(t, 0, 1)
	for range 3 {
		all.Go(func() {
			if err := ts.Write(t.Context(), System, turn("other")); err != nil {
				t.Error(err)
			}
		})
	}
	line.standing(t, 3, 1)
	close(hold)
	all.Wait()
	if want := []string{"other", "other", "other", "patient"}; !slices.Equal(order, want) {
		t.Errorf("turns %v, want %v", order, want)
	}
}

// TestPatienceEnds: a patient write has its turn though others come without end.
func TestPatienceEnds(t *testing.T) {
	ts := newTestStore(t)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := ts.Write(t.Context(), System, beat); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 5 {
		if err := ts.WritePatiently(t.Context(), System, beat); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	all.Wait()
}

// TestCloseServesThePatient: what stands in line at a stop is done before the
// writer ends.
func TestCloseServesThePatient(t *testing.T) {
	l := newLine()
	enter := func(o *op) (turn bool) {
		turn, err := l.enter(o)
		if err != nil {
			t.Error(err)
		}
		return turn
	}
	if !enter(&op{}) {
		t.Error("nobody waits, and the first has no turn")
	}
	for range batchLimit {
		if enter(&op{patient: true}) {
			t.Error("a patient one has its turn at once")
		}
	}
	if enter(&op{}) {
		t.Error("two have their turn")
	}
	l.close()
	l.leave()
	if _, err := l.enter(&op{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("after the end: %v", err)
	}
	n := 0
	for batch := l.next(); len(batch) > 0; batch = l.next() {
		if n == 0 && batch[0].patient {
			t.Error("a patient one had the first turn")
		}
		if len(batch) > batchLimit {
			t.Errorf("%d in one commit", len(batch))
		}
		n += len(batch)
		l.leave()
	}
	if n != batchLimit+1 {
		t.Errorf("%d were served, want %d", n, batchLimit+1)
	}
}

// TestTurns: however many come at once, each is served once, by one at a time, and who has his turn at once takes it from
// nobody who waits.
func TestTurns(t *testing.T) {
	ts := newTestStore(t)
	var all sync.WaitGroup
	var busy, most, n int // guarded by the turn, which the race detector sees
	for i := range 16 {
		write := ts.Write
		if i%4 == 0 {
			write = ts.WritePatiently
		}
		all.Go(func() {
			for range 50 {
				err := write(t.Context(), System, func(tx *Tx) error {
					busy++
					most = max(most, busy)
					n++
					busy--
					return beat(tx)
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if most != 1 || n != 16*50 {
		t.Errorf("%d at a time, %d in all", most, n)
	}
}
