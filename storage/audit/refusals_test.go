package audit

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func flush(t *testing.T, r *Refusals, now time.Time) (events []Event) {
	t.Helper()
	err := r.Flush(now, func(e []Event) error { events = e; return nil })
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		if err := events[i].Stamp(epoch); err != nil {
			t.Fatal(err)
		}
		if err := events[i].Check(); err != nil {
			t.Error(err)
		}
	}
	return events
}

func TestAU13_StrangersAreAggregated(t *testing.T) {
	var r Refusals
	now := epoch
	for i := range 1000 {
		r.Add(now.Add(time.Duration(i)*time.Millisecond), netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), "rcpt", "address.unknown")
	}
	r.Add(now, netip.MustParseAddr("2001:db8:1:2::3"), "auth", "not a word")
	events := flush(t, &r, now)
	if len(events) != 2 {
		t.Fatalf("%d events", len(events))
	}
	e := events[0]
	if len(e.Personal) == 0 || e.Personal.Text(KeyNetwork) == "2001:db8:1::/48" {
		e = events[1]
	}
	count, _ := e.Fields.Int(KeyCount)
	first, _ := e.Fields.Int(KeyFirst)
	last, _ := e.Fields.Int(KeyLast)
	if count != 1000 || last-first != 999_000 || e.Personal.Text(KeyNetwork) != "192.0.2.0/24" || e.Fields.Text(KeyCommand) != "rcpt" {
		t.Errorf("%s", e.AppendJSON(nil))
	}
	r.Add(now, netip.MustParseAddr("192.0.2.1"), "rcpt", "address.unknown")
	if events := flush(t, &r, now.Add(9*time.Second)); len(events) != 0 {
		t.Errorf("%d events within %s", len(events), RefusalsEvery)
	}
	if events := flush(t, &r, now.Add(10*time.Second)); len(events) != 1 {
		t.Errorf("%d events after %s", len(events), RefusalsEvery)
	}
	r.Add(now, netip.Addr{}, "connect", "limit")
	if events := flush(t, &r, time.Time{}); len(events) != 1 {
		t.Errorf("%d events at the stop", len(events))
	}
}

func TestAU13_AFloodDoesNotFillTheLog(t *testing.T) {
	var r Refusals
	var add sync.WaitGroup
	for g := range 4 {
		add.Go(func() {
			for i := range 25_000 {
				peer := netip.AddrFrom4([4]byte{byte(g), byte(i >> 8), byte(i), 1})
				r.Add(epoch, peer, fmt.Sprint("command", i%50), fmt.Sprint("rule", i%7))
			}
		})
	}
	add.Wait()
	events := flush(t, &r, epoch)
	var total int64
	for _, e := range events {
		n, _ := e.Fields.Int(KeyCount)
		total += n
	}
	if len(events) > maxKinds+1 || total != 100_000 {
		t.Errorf("%d events that count %d", len(events), total)
	}
}

func TestRefusalsAreKeptWhenTheyCannotBeWritten(t *testing.T) {
	var r Refusals
	r.Add(epoch, netip.MustParseAddr("192.0.2.1"), "rcpt", "a")
	failure := errors.New("disk full")
	err := r.Flush(epoch, func([]Event) error {
		r.Add(epoch.Add(time.Second), netip.MustParseAddr("192.0.2.2"), "rcpt", "a") // while writing
		return failure
	})
	if err != failure {
		t.Fatal(err)
	}
	events := flush(t, &r, epoch)
	if n, _ := events[0].Fields.Int(KeyCount); len(events) != 1 || n != 2 {
		t.Errorf("%d events, the first of %d", len(events), n)
	}
	if first, _ := events[0].Fields.Int(KeyFirst); first != epoch.UnixMicro() {
		t.Error("the first refusal was forgotten")
	}
}
