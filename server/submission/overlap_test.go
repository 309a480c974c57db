package submission

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"postern/server/message"
)

// textPrints hashes a message with a text.
func textPrints(text string) prints {
	r := strings.NewReader("\r\n" + text)
	p, _ := printsOf(r, &message.Parse(r, r.Size()).Root)
	return p
}

// prose makes words that no other seed makes.
func prose(seed, words int) string {
	var b strings.Builder
	for i := range words {
		fmt.Fprintf(&b, "w%dx%d ", seed, i)
	}
	return b.String()
}

// TestOverlap holds that text is found whatever it looks like, and none where
// there is none.
func TestOverlap(t *testing.T) {
	original := prose(1, 200)
	stored := textPrints(original)
	quoted := "> " + strings.Join(strings.SplitAfterN(strings.ToUpper(original), " ", 20), "\r\n> ")
	html := "Content-Type: text/html\r\n\r\n<p>" + strings.ReplaceAll(original, " ", "</span> <span class=\"q\">") + "</p>"
	for _, c := range []struct {
		name        string
		content     prints
		least, most int
	}{
		{"the same", stored, 100, 100},
		{"quoted in capitals", textPrints(quoted), 100, 100},
		{"half of the content", textPrints(prose(2, 200) + original), 45, 55},
		{"a tenth of the content", textPrints(prose(3, 1800) + original), 8, 12},
		{"a part of it", textPrints(strings.Join(strings.Fields(original)[50:100], " ")), 90, 100},
		{"another text", textPrints(prose(4, 200)), 0, 0},
		{"too short to say", textPrints("Thank you, I have got your message."), 0, 0},
	} {
		if share := c.content.percent(c.content.shared(stored)); share < c.least || share > c.most {
			t.Errorf("%s: %d %%, want %d to %d", c.name, share, c.least, c.most)
		}
	}
	r := strings.NewReader(html)
	if got, _ := printsOf(r, &message.Parse(r, r.Size()).Root); !slices.Equal(got, stored) {
		t.Errorf("as HTML: %d of %d hashes", got.shared(stored), len(stored))
	}
	if again := textPrints(original); !slices.Equal(again, stored) || !slices.IsSorted(again) {
		t.Error("the same text has other hashes")
	}
}

// TestReadingsAreBounded holds that what is remembered of messages does not grow,
// and that what was asked for last stays.
func TestReadingsAreBounded(t *testing.T) {
	var r readings
	kept := place{uuid.New(), 1}
	r.put(kept, &read{prints: make(prints, 100)})
	for uid := range uint32(5000) {
		r.put(place{kept.mailbox, uid + 2}, &read{prints: make(prints, 100)})
		if r.get(kept) == nil {
			t.Fatalf("the one that is asked for is forgotten after %d", uid)
		}
	}
	if r.size > maxPrints || len(r.known) != len(r.order) || len(r.known)*(100+readCost) != r.size {
		t.Errorf("%d messages of %d in order, counted as %d", len(r.known), len(r.order), r.size)
	}
}

// FuzzOverlap holds that any message can be compared, with itself and others, and
// what that may cost.
func FuzzOverlap(f *testing.F) {
	f.Add([]byte("Content-Type: text/html; charset=utf-16\r\n\r\n<a"), []byte("\xff\xfe<b>one two three four five six seven eight nine ten eleven twelve</b"))
	f.Add([]byte("Content-Transfer-Encoding: base64\r\n\r\n"), []byte("4pyT4pyT4pyT"))
	f.Fuzz(func(t *testing.T, header, body []byte) {
		r := strings.NewReader(string(header) + string(body))
		p, _ := printsOf(r, &message.Parse(r, r.Size()).Root)
		if share := p.percent(p.shared(p)); share != 0 && share != 100 {
			t.Errorf("a message has %d %% of itself", share)
		}
		if len(p) > maxText || p.shared(textPrints(string(body))) > len(p) {
			t.Errorf("%d hashes", len(p))
		}
	})
}

func BenchmarkPrints(b *testing.B) {
	text := prose(1, 700)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		textPrints(text)
	}
}
