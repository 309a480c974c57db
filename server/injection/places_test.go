package injection

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// repeating are texts that say the same over and over: logs, tables, lists.
var repeating = map[string]string{
	"log":      strings.Repeat("step test: FAIL\n", 60),
	"approved": strings.Repeat("payment 4711 approved by system\n", 40),
	"deleted":  strings.Repeat("INFO deleted message from mailbox\n", 50),
	"password": strings.Repeat("password changed, user notified\n", 50),
	"forward":  strings.Repeat("forwarded ", 200),
	"table":    "| Date | Amount | Status |\n" + strings.Repeat("| 2026-03-04 | 12.50 | approved |\n", 60),
	"csv":      "user,rule,action\n" + strings.Repeat("tom,default,forward\n", 60),
	"German":   strings.Repeat("Nachricht gelöscht, Postfach geleert\n", 40),
	"French":   strings.Repeat("message transféré sans erreur\n", 40),
	"Spanish":  strings.Repeat("factura aprobada y enviada\n", 40),
	"Russian":  strings.Repeat("сообщение отправлено, пароль изменён\n", 40),
	"Chinese":  strings.Repeat("邮件已转发,密码已更新\n", 40),
	"Japanese": strings.Repeat("メールを転送しました。\n", 40),
	"Arabic":   strings.Repeat("تم إرسال الرسالة وحذفها\n", 40),
	"thread":   strings.Repeat("> Please confirm the meeting.\n> Thanks, please reply.\n", 25),
}

// TestPI1_RepeatedLinesAreHarmless: a word that a log, a table or a list repeats says no
// more the fortieth time.
func TestPI1_RepeatedLinesAreHarmless(t *testing.T) {
	for name, text := range repeating {
		r := NewScorer(nil).Score(input("From: ci@example.com\nSubject: Report\nContent-Type: text/plain; charset=utf-8\n\nThe list of today:\n\n" + text))
		if r.Verdict != Clean {
			t.Errorf("%s: %v, score %.3f", name, r.Verdict, r.Score)
		}
	}
}

// TestPlacesOnce: of what the blocks of a window show, each place counts once, and none
// is left out.
func TestPlacesOnce(t *testing.T) {
	eachPassage(t, func(name string, p *Passage) {
		for i := range p.Windows() {
			blocks, _ := p.Window(i)
			for part, of := range map[string]func(*Block) *Places{
				"words": func(b *Block) *Places { return &b.Words.Weights }, "rows": func(b *Block) *Places { return &b.Words.Rows },
				"frame": func(b *Block) *Places { return &b.Frame.Weights }, "frame rows": func(b *Block) *Places { return &b.Frame.Rows },
			} {
				var counted, shown []uint32
				for j := range blocks {
					counted = append(counted, of(&blocks[j]).At(j)...)
					shown = append(shown, of(&blocks[j]).At(0)...)
				}
				slices.Sort(shown)
				slices.Sort(counted)
				twice := len(counted)
				shown, counted = slices.Compact(shown), slices.Compact(counted)
				if !slices.Equal(shown, counted) {
					t.Fatalf("%s, window %d, %s: %d places are shown and %d count", name, i, part, len(shown), len(counted))
				}
				if twice -= len(counted); twice*5 > len(counted)+25 { // another place may have taken the slot
					t.Errorf("%s, window %d, %s: %d of %d places count twice", name, i, part, twice, len(counted))
				}
			}
		}
	})
}

// TestBest: the sums that move with the window are those of each window by itself.
func TestBest(t *testing.T) {
	m := NewScorer(nil).model
	eachPassage(t, func(name string, p *Passage) {
		want, at := int64(math.MinInt64), 0
		for i := range p.Windows() {
			blocks, mask := p.Window(i)
			w, f := sums{weight: m.Words.weigh(p.Whole)}, sums{}
			for j := range blocks {
				b := &blocks[j]
				words, frame := m.Words.sum(b.Words.Weights.At(j), b.Words.Rows.At(j)), m.Frame.sum(b.Frame.Weights.At(j), b.Frame.Rows.At(j))
				w.add(&words)
				f.add(&frame)
			}
			l := m.Frame.logit(&f) + int64(m.Frame.Weights[mask])*int64(m.Frame.Unit) + max(0, m.Words.logit(&w)+int64(m.WordBias))
			if l > want {
				want, at = l, i
			}
		}
		if p.Windows() == 0 {
			return
		}
		if got, where, _ := m.best(p, nil); got != want+int64(m.Bias) || where != at {
			t.Errorf("%s: %d at %d, and one by one %d at %d", name, got, where, want+int64(m.Bias), at)
		}
	})
}

// eachPassage calls use for texts of many kinds.
func eachPassage(t *testing.T, use func(name string, p *Passage)) {
	texts := map[string]string{"short": "Forward it.", "none": "", "long": ""}
	for name, text := range repeating {
		texts[name] = text
		texts["long"] += text
	}
	for i := range 300 {
		texts["counted"] += fmt.Sprintf("Line %d of the report names %d things and nothing else.\n", i, i*i)
	}
	for name, text := range texts {
		PassagesOfText([]byte(text), func(p *Passage) { use(name, p) })
	}
}

// TestRecentForgets: what an older text showed does not count as shown.
func TestRecentForgets(t *testing.T) {
	var r recent
	for n := range uint32(1 << blockBits) {
		r.begin()
		if d := r.since(7); d != WindowBlocks {
			t.Fatalf("text %d: shown %d blocks ago", n, d)
		}
		r.block += n % 7
		if d := r.since(7); d != min(n%7, WindowBlocks) {
			t.Fatalf("text %d: shown %d blocks ago, not %d", n, d, n%7)
		}
	}
}
