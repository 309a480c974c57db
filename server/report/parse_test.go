package report

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// reports are the cases of a kind: a report as it came, and beside it what is made
// of it, or why nothing is.
func cases(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases %s: %v", pattern, err)
	}
	return files
}

// TestReports reads reports of both kinds as reporters write them.
func TestReports(t *testing.T) {
	for _, file := range append(cases(t, "*.xml"), cases(t, "*.json")...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if a, tls, err := parse(text); err != nil {
			got = err.Error() + "\n"
			if !errors.Is(err, ErrReport) {
				t.Errorf("%s: %v", file, err)
			}
		} else if a != nil {
			got = indented(t, a)
		} else {
			got = indented(t, tls)
		}
		golden := file + ".golden"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, _ := os.ReadFile(golden); got != string(want) {
			t.Errorf("%s:\n%s", file, got)
		}
	}
}

func indented(t *testing.T, v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

const whole = `<feedback><report_metadata><org_name>a</org_name><report_id>1</report_id><date_range><begin>1767225600</begin><end>1767311999</end></date_range></report_metadata><policy_published><domain>example.com</domain><p>none</p></policy_published>%s</feedback>`

func record(n int) string {
	return strings.Repeat("<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row></record>", n)
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zipped(t testing.TB, method uint16, files ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i, b := range files {
		f, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprint(i, ".xml"), Method: method})
		if err == nil {
			_, err = f.Write(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestPacked: reports come plain, in gzip and in zip, and not one in the other.
func TestPacked(t *testing.T) {
	text := []byte(fmt.Sprintf(whole, record(2)))
	for what, packed := range map[string][]byte{
		"plain": text, "a byte order mark": append([]byte("\xef\xbb\xbf\r\n"), text...), "gzip": gzipped(text), "zip": zipped(t, zip.Deflate, text),
		"gzip and what a mail program put behind it": append(gzipped(text), "\r\n"...),
	} {
		if a, _, err := parse(packed); err != nil || len(a.Rows) != 2 || a.Published.Domain != "example.com" {
			t.Errorf("%s: %+v, %v", what, a, err)
		}
	}
	encrypted := zipped(t, zip.Deflate, text)
	encrypted[6] |= 1
	for what, packed := range map[string][]byte{
		"gzip in gzip": gzipped(gzipped(text)), "zip in gzip": gzipped(zipped(t, zip.Deflate, text)), "gzip in zip": zipped(t, zip.Deflate, gzipped(text)),
		"zip in zip": zipped(t, zip.Store, zipped(t, zip.Deflate, text)), "two files": zipped(t, zip.Deflate, text, text), "encrypted": encrypted,
		"half of gzip": gzipped(text)[:100], "half of zip": zipped(t, zip.Deflate, text)[:100], "an empty archive": zipped(t, zip.Deflate), "nothing": nil, "a text": []byte("hello"),
	} {
		if a, tls, err := parse(packed); !errors.Is(err, ErrReport) {
			t.Errorf("%s: %+v, %+v, %v", what, a, tls, err)
		}
	}
}

// TestHostileReports: what strangers pack so that it costs more to open than to
// send. Each is refused, or read as far as it is whole, in bounded memory.
func TestHostileReports(t *testing.T) {
	zeros := make([]byte, 64<<20)
	blank := []byte(fmt.Sprintf(whole, strings.Repeat(" ", 60<<10)))
	laughs := `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">` +
		strings.Repeat(`<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">`, 10) + `]>` + fmt.Sprintf(whole, "<extra>&b;</extra>")
	for what, packed := range map[string][]byte{
		"a zip bomb":                  zipped(t, zip.Deflate, zeros),
		"a gzip bomb":                 gzipped(zeros),
		"a bomb within 10 MiB":        gzipped(make([]byte, 9<<20)),
		"11 MiB of noughts, plain":    zeros[:11<<20],
		"billion laughs":              []byte(laughs),
		"an external entity":          []byte(`<!DOCTYPE f SYSTEM "file:///etc/passwd">` + fmt.Sprintf(whole, "")),
		"an entity of nowhere":        []byte(fmt.Sprintf(whole, "<extra>&passwd;</extra>")),
		"a million attributes":        []byte(fmt.Sprintf(whole, "<extra"+strings.Repeat(` a=""`, 1_000_000)+"/>")),
		"an attribute of 5 MB":        []byte(fmt.Sprintf(whole, `<extra a="`+strings.Repeat("x", 5<<20)+`"/>`)),
		"a text of 5 MB":              []byte(fmt.Sprintf(whole, "<extra>"+strings.Repeat("x", 5<<20)+"</extra>")),
		"a comment of 5 MB":           []byte(fmt.Sprintf(whole, "<!--"+strings.Repeat("x", 5<<20)+"-->")),
		"a name of 5 MB":              []byte("<" + strings.Repeat("x", 5<<20)),
		"a million elements deep":     []byte(fmt.Sprintf(whole, strings.Repeat("<a>", 1_000_000))),
		"over a million elements":     []byte(fmt.Sprintf(whole, strings.Repeat("<a/>", 1_100_000))),
		"a name space of 5 MB":        []byte(`<feedback xmlns="` + strings.Repeat("x", 5<<20) + `">`),
		"minus one message":           []byte(fmt.Sprintf(whole, "<record><row><count>-1</count></row></record>")),
		"messages beyond all numbers": []byte(fmt.Sprintf(whole, "<record><row><count>99999999999999999999</count></row></record>")),
		"tags that close each other":  []byte("<feedback><record></feedback></record>"),
		"two roots":                   []byte(fmt.Sprintf(whole, "") + fmt.Sprintf(whole, "")),
		"UTF-7":                       []byte(`<?xml version="1.0" encoding="UTF-7"?>` + fmt.Sprintf(whole, "")),
		"JSON of a million lists":     []byte(strings.Repeat("[", 1_000_000)),
		"JSON of a million objects":   []byte(`{"policies":[` + strings.Repeat("{},", 1_000_000) + "{}]}"),
		"JSON of a million nulls":     []byte(`{"policies":[` + strings.Repeat("null,", 1_000_000) + "null]}"),
		"JSON nested a million times": []byte(strings.Repeat(`{"policies":`, 1_000_000)),
		"JSON with minus one session": []byte(`{"report-id":"1","date-range":{"start-datetime":"2026-01-01T00:00:00Z","end-datetime":"2026-01-01T23:59:59Z"},"policies":[{"policy":{"policy-type":"sts","policy-domain":"example.com"},"summary":{"total-successful-session-count":-1}}]}`),
	} {
		if a, tls, err := parse(packed); !errors.Is(err, ErrReport) {
			t.Errorf("%s: %+v, %+v, %v", what, a, tls, err)
		}
	}
	if a, _, err := parse(gzipped(blank)); err != nil || a.ID != "1" {
		t.Errorf("60 KiB of blanks, packed small: %v", err)
	}
	a, _, err := parse([]byte(fmt.Sprintf(whole, record(20_000))))
	if err != nil || len(a.Rows) != maxRows || a.More != 20_000-maxRows {
		t.Errorf("20,000 records: %d rows and %d more, %v", len(a.Rows), a.More, err)
	}
}

// TestXML: what we write is what we read, and so may others.
func TestXML(t *testing.T) {
	for _, file := range cases(t, "*.xml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, err := ParseAggregate(text)
		if err != nil {
			continue
		}
		written, err := first.XML()
		if err != nil {
			t.Fatal(err)
		}
		second, err := ParseAggregate(written)
		if err != nil {
			t.Errorf("%s: %v\n%s", file, err, written)
			continue
		}
		first.Published.Absent, second.Published.Absent = "", "" // appendix C has no np
		if got, want := indented(t, second), indented(t, first); got != want {
			t.Errorf("%s: got %s, want %s", file, got, want)
		}
	}
}

func fuzzed(f *testing.F, pattern string) {
	for _, file := range cases(f, pattern) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(gzipped(text))
		f.Add(zipped(f, zip.Deflate, text))
	}
}

// FuzzParseAggregate: whatever comes is a sound report, or an error of one class.
func FuzzParseAggregate(f *testing.F) {
	fuzzed(f, "*.xml")
	f.Fuzz(func(t *testing.T, b []byte) {
		a, _, err := parse(b)
		if err != nil {
			if !errors.Is(err, ErrReport) {
				t.Fatal(err)
			}
			return
		}
		if a == nil {
			return
		}
		if a.ID == "" || a.Published.Domain == "" || len(a.Rows) > maxRows || a.End.Before(a.Begin) {
			t.Fatalf("%+v", a)
		}
		Sources([]Aggregate{*a})
		Ladder("none", []Aggregate{*a}, nil, time.Unix(1767225600, 0))
		if _, err := a.XML(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzParseTLS does the same for TLS reports.
func FuzzParseTLS(f *testing.F) {
	fuzzed(f, "*.json")
	f.Fuzz(func(t *testing.T, b []byte) {
		_, r, err := parse(b)
		if err != nil || r == nil {
			return
		}
		for _, o := range TLSOutcomes([]TLSReport{*r}) {
			if o.Sessions < 0 {
				t.Fatalf("%+v", o)
			}
		}
	})
}
