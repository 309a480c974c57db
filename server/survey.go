package server

import (
	"context"
	"time"
)

const (
	// surveyFirst is how long after a start somebody looks at the health first: what
	// begins with the server should have come up.
	surveyFirst = time.Minute
	// surveyEvery is how often somebody looks then.
	surveyEvery = 5 * time.Minute
)

// Survey looks at the health of the installation once: what is so bad that somebody
// should see to it becomes an alert, which ends when it is good again, and what changed
// is noted. // AV-5
func (s *Server) Survey(ctx context.Context) error { return s.control.Survey(ctx) }

// surveyHealth does that by itself until the context is done.
func (s *Server) surveyHealth(ctx context.Context) {
	said := ""
	for wait := surveyFirst; ; wait = surveyEvery {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		if err := s.Survey(ctx); err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			s.log.Error("the health could not be looked at, and is tried again", "error", err)
		}
	}
}
