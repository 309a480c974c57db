package storage

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"postern/storage/audit"
)

// typicalText compresses about as well as mail does: words, and some noise.
func typicalText(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 2))
	words := []string{"the", "invoice", "of", "please", "regards", "meeting", "on", "Tuesday", "attached", "and", "question"}
	var b []byte
	for len(b) < n {
		if rng.IntN(3) == 0 {
			b = fmt.Appendf(b, "%x ", rng.Uint32())
		} else {
			b = append(append(b, words[rng.IntN(len(words))]...), ' ')
		}
		if rng.IntN(12) == 0 {
			b = append(b, "\r\n"...)
		}
	}
	return b[:n]
}

// typicalLetter has a content of the size that a parsed message of several
// recipients has.
func typicalLetter() Deposit {
	d := letter(1)
	d.Structure = typicalText(900, 1)
	d.Overlay = typicalText(250, 2)
	return d
}

// accept does what delivery does with a message, apart from judging it.
func (ts *testStore) accept(in *Inbox, mailbox uuid.UUID, body []byte, d Deposit) error {
	g := ts.Stage()
	defer g.Discard()
	if _, err := g.Write(body); err != nil {
		return err
	}
	if err := g.Finish(); err != nil {
		return err
	}
	d.ID, d.SHA256 = newID(), g.SHA256()
	return ts.Write(context.Background(), System, func(tx *Tx) (err error) {
		e := tx.Record(audit.Event{Verb: audit.MessageReceived, Personal: audit.Fields{
			audit.Text(audit.KeyFrom, "ada@example.net"), audit.Text(audit.KeyTo, "support@example.com"), audit.Text(audit.KeyMessageID, d.MessageID)}})
		if d.Body, err = tx.AddBody(g); err != nil {
			return err
		}
		if _, err := tx.Receipt(in, d.ID[:], d.SHA256[:]); err != nil {
			return err
		}
		_, err = tx.Deposit(e, in, mailbox, d)
		return err
	})
}

// processor is the time that the process has spent on processors: on a busy
// machine it says more than the clock.
func processor() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// each runs fn b.N times on a number of goroutines.
func each(b *testing.B, goroutines int, fn func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	before := processor()
	for range goroutines {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := fn(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "/s")
	b.ReportMetric(float64((processor()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// noise does not compress.
func noise(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 3))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func BenchmarkDeposit(b *testing.B) {
	for kind, body := range map[string]func(int, uint64) []byte{"text": typicalText, "noise": noise} {
		for _, n := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/goroutines=%d", kind, n), func(b *testing.B) {
				ts, in, inbox := newMailStore(b)
				d := typicalLetter()
				bodies := make([][]byte, 64)
				for i := range bodies {
					bodies[i] = body(4096, uint64(i))
				}
				each(b, n, func(i int) error { return ts.accept(in, inbox, bodies[i%64], d) })
				ts.reportDisk(b)
			})
		}
	}
}

// reportDisk says what a message costs on disk after a checkpoint.
func (ts *testStore) reportDisk(b *testing.B) {
	if b.N < 100 {
		return
	}
	if _, err := ts.writer.conn.ExecContext(b.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(ts.cfg.Dir, databaseFile))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/float64(b.N), "disk-B/msg")
}

func BenchmarkSetFlags(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			ts, in, inbox := newMailStore(b)
			ts.fill(b, in, inbox, 1000, 900)
			each(b, n, func(i int) error {
				uid := uint32(1 + i%1000)
				return ts.Write(context.Background(), System, func(tx *Tx) error {
					_, err := tx.SetFlags(tx.Record(audit.Event{Verb: audit.MessageFlagged}), in, inbox, []UIDRange{{First: uid, Last: uid}}, FlagOp(i/1000%2), Seen, nil)
					return err
				})
			})
		})
	}
	b.Run("all of 10000", func(b *testing.B) {
		ts, in, inbox := newMailStore(b)
		ts.fill(b, in, inbox, 10000, 900)
		b.ResetTimer()
		for i := range b.N {
			ts.write(b, audit.MessageFlagged, func(tx *Tx, e *audit.Event) error {
				_, err := tx.SetFlags(e, in, inbox, allUIDs, FlagOp(i%2), Seen, nil)
				return err
			})
		}
		b.ReportMetric(10000*float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	})
}

func BenchmarkRecordRead(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			ts, in, inbox := newMailStore(b)
			ts.fill(b, in, inbox, 1000, 900)
			cred := newID()
			each(b, n, func(i int) error {
				uid := uint32(1 + i%1000)
				return ts.Write(context.Background(), System, func(tx *Tx) error {
					return tx.RecordRead(tx.Record(audit.Event{Verb: audit.MessageRead}), in, cred, inbox, []UIDRange{{First: uid, Last: uid}})
				})
			})
		})
	}
}

// BenchmarkScan reads a mailbox of 10,000 messages: with the sealed content
// opened and decoded, and without.
func BenchmarkScan(b *testing.B) {
	ts, in, inbox := newMailStore(b)
	d := typicalLetter()
	ts.fill(b, in, inbox, 10000, len(d.Structure)+len(d.Overlay))
	for _, content := range []bool{true, false} {
		b.Run(fmt.Sprintf("content=%v", content), func(b *testing.B) {
			b.ReportAllocs()
			before := processor()
			for range b.N {
				n := 0
				err := in.Scan(b.Context(), inbox, allUIDs, content, func(m *Message) error { n++; return nil })
				if err != nil || n != 10000 {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(10000*float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(10000*float64(b.N)/(processor()-before).Seconds(), "msg/cpu-s")
		})
	}
	b.Run("UIDs", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if uids, _, err := in.UIDs(b.Context(), inbox); err != nil || len(uids) != 10000 {
				b.Fatal(len(uids), err)
			}
		}
		b.ReportMetric(10000*float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	})
}

func BenchmarkOpenBody(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			ts, in, inbox := newMailStore(b)
			ts.deposit(b, in, inbox, typicalText(size, 1), typicalLetter())
			m := scanAll(b, in, inbox)[0]
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				body, err := in.OpenBody(b.Context(), &m)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, io.NewSectionReader(body, 0, body.Size())); err != nil {
					b.Fatal(err)
				}
				body.Close()
			}
		})
	}
}

// BenchmarkBorder stores bodies of one size in rows and in files: inlineLimit
// lies where files begin to win.
func BenchmarkBorder(b *testing.B) {
	for _, size := range []int{16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10} {
		for _, where := range []string{"row", "file"} {
			for _, n := range []int{1, 8} {
				b.Run(fmt.Sprintf("size=%dK/%s/goroutines=%d", size>>10, where, n), func(b *testing.B) {
					ts, in, inbox := newMailStore(b)
					ts.bodies.inline = size
					if where == "file" {
						ts.bodies.inline = 1000
					}
					d := typicalLetter()
					body := typicalText(size, 1)
					b.SetBytes(int64(size))
					each(b, n, func(i int) error { return ts.accept(in, inbox, body, d) })
				})
			}
		}
	}
}

// BenchmarkGrowth does the same work in mailboxes of 1,000 and of 100,000
// messages: the cost of an operation must not grow with the mailbox.
func BenchmarkGrowth(b *testing.B) {
	if testing.Short() {
		b.Skip("fills a mailbox with 100,000 messages")
	}
	for _, size := range []int{1000, 10000, 100000} {
		b.Run(fmt.Sprintf("messages=%d", size), func(b *testing.B) {
			ts, in, inbox := newMailStore(b)
			ts.fill(b, in, inbox, size, 900)
			rng := rand.New(rand.NewPCG(1, 1))
			b.Run("deposit", func(b *testing.B) {
				d, body := typicalLetter(), typicalText(4096, 1)
				each(b, 1, func(int) error { return ts.accept(in, inbox, body, d) })
			})
			b.Run("flags", func(b *testing.B) {
				each(b, 1, func(i int) error {
					uid := 1 + rng.Uint32N(uint32(size))
					ts.write(b, audit.MessageFlagged, func(tx *Tx, e *audit.Event) error {
						_, err := tx.SetFlags(e, in, inbox, []UIDRange{{First: uid, Last: uid}}, FlagOp(i%2), Flagged, nil)
						return err
					})
					return nil
				})
			})
			b.Run("fetch 50", func(b *testing.B) {
				each(b, 1, func(int) error {
					uid := 1 + rng.Uint32N(uint32(size-50))
					return in.Scan(b.Context(), inbox, []UIDRange{{First: uid, Last: uid + 49}}, true, func(*Message) error { return nil })
				})
			})
			b.Run("changes", func(b *testing.B) {
				m, err := in.Mailbox(b.Context(), inbox)
				if err != nil {
					b.Fatal(err)
				}
				each(b, 1, func(int) error {
					_, err := in.Changes(b.Context(), inbox, m.Modseq-10)
					return err
				})
			})
		})
	}
}
