package servertest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// web is a program elsewhere that listens to webhooks.
type web struct {
	server *httptest.Server

	mu     sync.Mutex
	status int
	told   []string // bodies that were signed and have an id
}

func (w *web) ServeHTTP(reply http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Header.Get("webhook-id") != "" && strings.HasPrefix(r.Header.Get("webhook-signature"), "v1,") {
		w.told = append(w.told, string(body))
	}
	reply.WriteHeader(w.status)
}

// web NAME STATUS
func (s *script) web(ts *testscript.TestScript, args []string) error {
	status, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	w := s.webs[args[0]]
	if w == nil {
		w = &web{}
		w.server = httptest.NewServer(w)
		s.webs[args[0]] = w
		ts.Setenv(args[0]+"_url", w.server.URL)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = status
	return nil
}

// told NAME TEXT
func (s *script) told(_ *testscript.TestScript, args []string) error {
	w := s.webs[args[0]]
	if w == nil {
		return fmt.Errorf("there is no web %q", args[0])
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		w.mu.Lock()
		told := strings.Join(w.told, "\n")
		w.mu.Unlock()
		if strings.Contains(told, args[1]) {
			return nil
		}
	}
	return fmt.Errorf("%s was not told %q", args[0], args[1])
}
