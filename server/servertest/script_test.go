package servertest_test

import (
	"testing"

	"postern/server/servertest"
)

func TestConversations(t *testing.T) {
	servertest.Run(t, "testdata")
}
