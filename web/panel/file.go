package panel

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// files are the lists that may be had as a file, by the pattern of their page: with
// ?as=csv or ?as=jsonl the page gives all rows that its address leaves, and its foot
// leads there. A file has what the command at the foot prints. // AU-10
var files = map[string]listFile{
	"GET /audit":   auditFile,
	"GET /agents":  agentFile,
	"GET /inboxes": inboxFile,
	"GET /domains": domainFile,
	"GET /queue":   queueFile,

	"GET /approvals":  approvalFile,
	"GET /quarantine": quarantineFile,
	"GET /alerts":     alertFile,
	"GET /people":     personFile,
	"GET /captured":   capturedFile,
	"GET /freezes":    freezeFile,
	"GET /glass":      glassFile,
}

// listFile is a list of a page as a file.
type listFile interface {
	send(v *visit, as string) error
}

// fileOf are the rows of a list, and the columns of its table.
type fileOf[T any] struct {
	name    string // of the file, without its ending
	rows    func(*visit) (iter.Seq2[T, error], error)
	columns []cellOf[T]
}

// cellOf is a column: its name for programs, and what a row has there.
type cellOf[T any] struct {
	name string
	of   func(*T) string
}

// Bounds of a file: who wants more asks the command line.
const (
	maxFileRows = 1_000_000
	fileTime    = 10 * time.Minute // that a browser may take to fetch it
)

// send writes all rows as they are read. An error after the first byte ends the
// connection, so that half a file is not taken for a whole one.
func (f fileOf[T]) send(v *visit, as string) error {
	if as != "csv" && as != "jsonl" {
		return nowhere(v)
	}
	rows, err := f.rows(v)
	if err != nil {
		return err
	}
	next, stop := iter.Pull2(rows)
	defer stop()
	row, err, more := next() // a refusal is a page, not a file
	if err != nil {
		return err
	}
	name := fmt.Sprintf("postern-%s-%s.%s", f.name, v.clock.Now.UTC().Format("20060102T150405Z"), as)
	v.w.Header().Set("Content-Type", map[string]string{"csv": "text/csv; charset=utf-8; header=present", "jsonl": "application/jsonl"}[as])
	v.w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	http.NewResponseController(v.w).SetWriteDeadline(time.Now().Add(fileTime)) // a server without deadlines has none to move
	write, flush := f.writer(v.w, as)
	for n := 0; more; n++ {
		if n == maxFileRows {
			err = fmt.Errorf("a file has at most %d rows", maxFileRows)
		}
		if err == nil {
			err = write(&row)
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		row, err, more = next()
	}
	if flush() != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// writer writes rows one by one.
func (f fileOf[T]) writer(w io.Writer, as string) (write func(*T) error, flush func() error) {
	if as == "jsonl" {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return func(row *T) error { return enc.Encode(row) }, func() error { return nil }
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true // RFC 4180, section 2
	names := make([]string, len(f.columns))
	for i, c := range f.columns {
		names[i] = c.name
	}
	failed := out.Write(names)
	cells := make([]string, len(f.columns))
	write = func(row *T) error {
		for i, c := range f.columns {
			cells[i] = harmless(c.of(row))
		}
		if failed == nil {
			failed = out.Write(cells)
		}
		return failed
	}
	return write, func() error {
		out.Flush()
		return out.Error()
	}
}

// harmless is a cell that a spreadsheet takes for text: one that begins as a formula
// does gets a quote in front, and what is not UTF-8 or a control becomes U+FFFD. What
// strangers wrote stands in these cells.
func harmless(cell string) string {
	cell = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f {
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(cell, "\ufffd"))
	if begins := strings.TrimLeft(cell, " \u00a0"); begins != "" && strings.ContainsRune("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20", []rune(begins)[0]) {
		return "'" + cell
	}
	return cell
}

// asFile sends the list of the page as a file, if one was asked for.
func (v *visit) asFile() (sent bool, err error) {
	as := v.r.URL.Query().Get("as")
	if as == "" || files[v.pattern] == nil {
		return false, nil
	}
	return true, files[v.pattern].send(v, as)
}

// fileLinks are where the list of this page is to be had as a file.
func (v *visit) fileLinks() (csv, jsonl string) {
	if files[v.pattern] == nil {
		return "", ""
	}
	q := v.r.URL.Query()
	for _, page := range []string{"before", "from", "page", "after"} {
		q.Del(page)
	}
	link := func(as string) string {
		to := url.Values{}
		for k, values := range q {
			to[k] = slices.Clone(values)
		}
		to.Set("as", as)
		return v.r.URL.Path + "?" + to.Encode()
	}
	return link("csv"), link("jsonl")
}

// exact is a time as files have it: RFC 3339 in UTC, empty when there is none.
func exact(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// joined is a list in one cell.
func joined(all []string) string { return strings.Join(all, " ") }

// each is a list that needs nothing but the visit.
func each[T any](list func(*visit) iter.Seq2[T, error]) func(*visit) (iter.Seq2[T, error], error) {
	return func(v *visit) (iter.Seq2[T, error], error) { return list(v), nil }
}
