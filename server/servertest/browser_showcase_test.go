package servertest_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/server/servertest"
)

// lively is a server on which a day has passed: mail came, some of it hostile, and agents read and answered.
func lively(t *testing.T) *servertest.Postern {
	t.Helper()
	p := servertest.New(t, servertest.Options{Domain: "example.test", Agents: []string{"billing", "research", "support"}, Judge: servertest.Shipped()})
	hostile, err := os.ReadFile("../samples/5-invoice.eml")
	fatal(t, err)
	partner := servertest.New(t, servertest.Options{World: p.World, Domain: "partner.test", Agents: []string{"ada", "ben"}})
	for _, name := range []string{"ada", "ben"} {
		unlimited(t, partner, partner.Agents[name])
	}
	const order = "Subject: An order\r\n\r\nDear team,\r\n\r\nour order of last week has not arrived. Could you tell us where it is?\r\n"
	for hour := range 26 {
		for i, agent := range []string{"billing", "research", "support"} {
			from := []string{"ada", "ben"}[(hour+i)%2]
			for n := range (hour*7+i*5)%4 + 1 {
				s := submitter(t, partner, from)
				s.submit(from+"@partner.test", agent+"@example.test", fmt.Sprintf("From: %s@partner.test\r\nX-N: %d\r\n%s", from, n, order))
				s.conn.Close()
			}
			s := submitter(t, p, agent)
			for range (hour * (i + 2)) % 5 {
				s.sends(agent+"@example.test", from+"@partner.test")
			}
			s.conn.Close()
			if hour%3 != i {
				c := imap(t, p, p.Agents[agent])
				c.want("OK", "SELECT INBOX")
				c.ask("FETCH 1:* BODY[TEXT]")
				c.conn.Close()
			}
		}
		strange := fmt.Sprintf("From: cara@elsewhere.test\r\nMessage-ID: <%d@elsewhere.test>\r\n%s", hour, order)
		if hour%6 == 4 {
			strange = fmt.Sprintf("Message-ID: <%d@invoices.test>\r\n%s", hour, strings.ReplaceAll(string(hostile), "\n", "\r\n"))
		}
		if r := smtp(t, p).send("billing@example.test", strange); r[:3] != "250" {
			t.Fatal(r)
		}
		fatal(t, p.World.Advance(time.Hour))
	}
	return p
}

// TestBrowser_Showcase takes the pictures of the README: TAB_SHOWCASE names the folder.
func TestBrowser_Showcase(t *testing.T) {
	dir := os.Getenv("TAB_SHOWCASE")
	if dir == "" {
		t.Skip("takes the pictures of the README into the folder TAB_SHOWCASE")
	}
	p := lively(t)
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session, Width: 1280, Height: 800})
	shot := func(name string) {
		t.Helper()
		file := filepath.Join(dir, name+".png")
		b.Shot(file)
		shrink(t, file, 1280, 1000)
	}
	b.Go("/")
	b.See("Overview")
	shot("overview")
	b.Go("/quarantine")
	b.Follow(".list a")
	b.Fill("#cr", "a customer asks for it")
	b.Follow("Show the places")
	shot("quarantine")
	b.Go("/domains/example.test")
	b.See("needed records are in order")
	b.Look(1280, true)
	shot("domain")
	b.Go("/agents/billing")
	b.Look(1280, false)
	shot("agent")
}

// shrink cuts a picture to its upper part and draws it in the 256 colours that it needs most.
func shrink(t *testing.T, file string, width, height int) {
	t.Helper()
	raw, err := os.ReadFile(file)
	fatal(t, err)
	whole, err := png.Decode(bytes.NewReader(raw))
	fatal(t, err)
	box := image.Rect(0, 0, min(width, whole.Bounds().Dx()), min(height, whole.Bounds().Dy()))
	counts := map[color.RGBA]int{}
	for y := range box.Dy() {
		for x := range box.Dx() {
			counts[color.RGBAModel.Convert(whole.At(x, y)).(color.RGBA)]++
		}
	}
	all := make([]color.RGBA, 0, len(counts))
	for c := range counts {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int { return counts[b] - counts[a] })
	palette := color.Palette{}
	for _, c := range all[:min(len(all), 256)] {
		palette = append(palette, c)
	}
	small := image.NewPaletted(box, palette)
	draw.Draw(small, box, whole, image.Point{}, draw.Src)
	var b bytes.Buffer
	fatal(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, small))
	fatal(t, os.WriteFile(file, b.Bytes(), 0o644))
}
