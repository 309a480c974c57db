package storage

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// standing waits until so many stand in a line.
func standing(t *testing.T, line chan *op, n int) {
	t.Helper()
	for range 20_000 {
		if len(line) == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%d stand in line, want %d", len(line), n)
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
	standing(t, line.patient, 1)
	for range 3 {
		all.Go(func() {
			if err := ts.Write(t.Context(), System, turn("other")); err != nil {
				t.Error(err)
			}
		})
	}
	standing(t, line.ops, 3)
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
	for range batchLimit {
		l.of(&op{patient: true}) <- &op{patient: true}
	}
	l.of(&op{}) <- &op{}
	l.close()
	n := 0
	for batch := l.next(); len(batch) > 0; batch = l.next() {
		if n == 0 && batch[0].patient {
			t.Error("a patient one had the first turn")
		}
		if len(batch) > batchLimit {
			t.Errorf("%d in one commit", len(batch))
		}
		n += len(batch)
	}
	if n != batchLimit+1 {
		t.Errorf("%d were served, want %d", n, batchLimit+1)
	}
}
