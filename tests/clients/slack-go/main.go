// A scenario with slack-go, unmodified but for the base URL. One line per step, of what cannot differ between two
// runs; tests/e2e/go.test.mjs knows the lines. A step that fails says so in its line, and the others go on.
//
// From the environment: PARLEY_API (ends in a slash), PARLEY_ADA, PARLEY_GRACE, PARLEY_LINUS, PARLEY_BOT (tokens of the
// demo workspace), PARLEY_SPENT (a token to be revoked), PARLEY_FLOOD (the posts a second that a token has).
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/slack-go/slack"
)

// What the steps share: clients, and the ids that earlier steps learnt.
type world struct {
	api                     string
	ada, grace, linus, bot  *slack.Client
	adaID, graceID, linusID string
	botID, botUser          string
	room, random            string // channels: the scenario's own, and the demo's
	failed                  bool
}

func client(token string) *slack.Client {
	return slack.New(os.Getenv(token), slack.OptionAPIURL(os.Getenv("PARLEY_API")))
}

// One step: its line is its name and what it found, or what it died of.
func (w *world) step(name string, run func() []interface{}) {
	found := func() (found []interface{}) {
		defer func() {
			if r := recover(); r != nil {
				w.failed = true
				found = []interface{}{"FAILED:", r}
			}
		}()
		return run()
	}()
	words := []string{name + ":"}
	for _, f := range found {
		words = append(words, fmt.Sprint(f))
	}
	fmt.Println(strings.Join(words, " "))
}

func facts(f ...interface{}) []interface{} { return f }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// The platform's word for what went wrong; anything but such an error ends the step.
func refusal(err error) string {
	if err == nil {
		panic("was not refused")
	}
	if e, ok := err.(slack.SlackErrorResponse); ok {
		return e.Err
	}
	panic(err)
}

func eventually(what string, check func() bool) {
	for end := time.Now().Add(20 * time.Second); !check(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			panic("never happened: " + what)
		}
	}
}

func sorted(names []string) string {
	sort.Strings(names)
	return strings.Join(names, ",")
}

// Ids as the names they stand for, so that lines are the same in every run.
func (w *world) name(id string) string {
	for _, n := range []struct{ id, name string }{
		{w.adaID, "ada"}, {w.graceID, "grace"}, {w.linusID, "linus"}, {w.botUser, "parrot"}, {w.room, "room"}, {w.random, "random"},
	} {
		if id != "" && id == n.id {
			return n.name
		}
	}
	return "?" + id
}

func (w *world) names(ids []string) string {
	var out []string
	for _, id := range ids {
		out = append(out, w.name(id))
	}
	return sorted(out)
}

func texts(messages []slack.Message) string {
	var out []string
	for _, m := range messages {
		out = append(out, m.Text)
	}
	return strings.Join(out, "|")
}

func main() {
	w := &world{
		api: os.Getenv("PARLEY_API"),
		ada: client("PARLEY_ADA"), grace: client("PARLEY_GRACE"), linus: client("PARLEY_LINUS"), bot: client("PARLEY_BOT"),
	}
	w.identity()
	w.conversations()
	w.direct()
	w.messages()
	w.threads()
	w.marks()
	w.lists()
	w.people()
	w.groups()
	w.files()
	w.socket()
	w.refusals()
	if w.failed {
		os.Exit(1)
	}
}
