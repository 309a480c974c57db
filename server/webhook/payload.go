package webhook

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// Types of what is told.
const (
	typeAlert = "alert.raised"
	typeTest  = "webhook.test"
)

// payload is the body of a request. Its names are stable.
type payload struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // of what happened
	Data      any       `json:"data"`
}

// alertData is what a program is told of an alert.
type alertData struct {
	ID         uuid.UUID         `json:"id"`
	Kind       storage.AlertKind `json:"kind"`
	First      time.Time         `json:"first_at"`
	Agent      *agentData        `json:"agent,omitempty"`
	Credential *credentialData   `json:"credential,omitempty"`
	Inbox      uuid.UUID         `json:"inbox,omitzero"`
	Object     uuid.UUID         `json:"object,omitzero"`
}

type agentData struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name,omitempty"`
}

type credentialData struct {
	ID       uuid.UUID `json:"id"`
	PublicID string    `json:"public_id,omitempty"`
}

type testData struct {
	Webhook uuid.UUID `json:"webhook"`
}

func alertPayload(a *storage.Alert, agent storage.Agent, c storage.Credential) ([]byte, error) {
	d := alertData{ID: a.ID, Kind: a.Kind, First: a.First.UTC(), Inbox: a.Inbox, Object: a.Object}
	if a.Agent != uuid.Nil {
		d.Agent = &agentData{a.Agent, agent.Name}
	}
	if a.Credential != uuid.Nil {
		d.Credential = &credentialData{a.Credential, c.PublicID}
	}
	return json.Marshal(payload{typeAlert, a.First.UTC(), d})
}

func testPayload(w *storage.Webhook, at time.Time) ([]byte, error) {
	return json.Marshal(payload{typeTest, at.UTC(), testData{w.ID}})
}
