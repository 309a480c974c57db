package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"postern/server/control"
)

// controlCommand is a command that may be expected to be refused.
func controlCommand(ts *testscript.TestScript, refused bool, args []string) {
	as := "admin"
	if len(args) > 2 && args[0] == "-as" {
		as, args = args[1], args[2:]
	}
	if len(args) < 2 {
		ts.Fatalf("control [-as SESSION] HOST NAME KEY=VALUE…")
	}
	status, err := ts.Value(scriptKey{}).(*script).control(ts, as, args)
	ts.Check(err)
	if ok := status == http.StatusOK; ok == refused {
		ts.Fatalf("status %d", status)
	}
}

// control [-as SESSION] HOST NAME KEY=VALUE KEY:=JSON …
func (s *script) control(ts *testscript.TestScript, as string, args []string) (status int, err error) {
	h := s.find(ts, args[0])
	request, err := object(args[2:])
	if err != nil {
		return 0, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", h.cfg.Control)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: patience}
	post, err := http.NewRequestWithContext(s.ctx, http.MethodPost, "http://postern/"+args[1], bytes.NewReader(request))
	if err != nil {
		return 0, err
	}
	if session := h.session(as); session != "" {
		post.Header.Set(control.SessionHeader, session)
	}
	answer, err := client.Do(post)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	fmt.Fprintln(ts.Stdout(), string(bytes.TrimSpace(text)))
	remember(ts, text)
	return answer.StatusCode, nil
}

// session is the token of whom a script names: admin, second, unix for nobody,
// or a token itself.
func (h *host) session(as string) string {
	switch as {
	case "admin":
		return h.Admin.Session
	case "second":
		return h.Second.Session
	case "unix":
		return ""
	}
	return as
}

// object makes a JSON object of words: key=text, or key:=json.
func object(words []string) ([]byte, error) {
	o := map[string]any{}
	for _, w := range words {
		key, text, ok := strings.Cut(w, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not KEY=VALUE", w)
		}
		if raw, ok := strings.CutSuffix(key, ":"); ok {
			o[raw] = json.RawMessage(text)
			continue
		}
		o[key] = text
	}
	return json.Marshal(o)
}

// row KEY VALUE
func (s *script) row(ts *testscript.TestScript, args []string) error {
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			return err
		}
		if fmt.Sprint(row[args[0]]) == args[1] {
			remember(ts, []byte(line))
			return nil
		}
	}
	return fmt.Errorf("no row has the %s %s", args[0], args[1])
}

// remember sets a variable answer_KEY for each plain value of the answer, or of
// the first row of a list.
func remember(ts *testscript.TestScript, answer []byte) {
	var row map[string]any
	if json.NewDecoder(bytes.NewReader(answer)).Decode(&row) != nil {
		return
	}
	for key, v := range row {
		if list, ok := v.([]any); ok && len(list) > 0 { // of a list within, the first
			if first, ok := list[0].(map[string]any); ok {
				for inner, v := range first {
					ts.Setenv("answer_"+key+"_"+inner, fmt.Sprint(v))
				}
			}
		}
		switch v := v.(type) {
		case string:
			ts.Setenv("answer_"+key, v)
		case float64, bool:
			ts.Setenv("answer_"+key, fmt.Sprint(v))
		}
	}
}
