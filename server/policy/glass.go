package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// GlassTime is how long a person who broke the glass may read a message, and
// GlassAsking how long one waits for another person to agree. // AC-17
const (
	GlassTime   = 15 * time.Minute
	GlassAsking = 24 * time.Hour
)

// Reading says what people may see of mail.
type Reading struct {
	Persons  int  // that it takes to read a message
	Subjects bool // lists of messages show them
}

var glassReasons = []string{
	"incident",   // something went wrong, and the message may say why
	"complaint",  // who wrote it or got it asks
	"verdict",    // whether it was judged rightly
	"fault",      // mail or an agent does not work
	"legal",      // the law or a court asks
	"permission", // the owner of the agent asked for it
}

// GlassReasons is the closed list of why a person reads a message.
func GlassReasons() []string { return slices.Clone(glassReasons) }

// GlassReason checks a code. The error is a *ValueError.
func GlassReason(code string) error {
	if slices.Contains(glassReasons, code) {
		return nil
	}
	return &ValueError{Key: "why", What: fmt.Sprintf("say one of %s", strings.Join(glassReasons, ", "))}
}
