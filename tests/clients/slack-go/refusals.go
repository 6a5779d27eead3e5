package main

import (
	"context"
	"os"
	"strconv"
	"time"

	"github.com/slack-go/slack"
)

func (w *world) refusals() {
	w.step("channel_not_found", func() []interface{} {
		_, _, err := w.ada.PostMessage("C00000000", slack.MsgOptionText("x", false))
		_, typed := err.(slack.SlackErrorResponse)
		_, err2 := w.linus.GetConversationInfo("C00000000", false)
		return facts(typed, refusal(err), refusal(err2))
	})
	w.step("an argument is missing", func() []interface{} {
		e := w.ada.ArchiveConversation("").(slack.SlackErrorResponse)
		return facts(e.Err, len(e.ResponseMetadata.Messages) > 0)
	})
	w.step("tokens", func() []interface{} {
		bad := slack.New("xoxp-1-2-3-nobody", slack.OptionAPIURL(w.api))
		_, invalid := bad.AuthTest()
		_, none := slack.New("", slack.OptionAPIURL(w.api)).AuthTest()
		spent := client("PARLEY_SPENT")
		r, err := spent.SendAuthRevoke("")
		must(err)
		_, revoked := spent.AuthTest()
		_, botOnly := w.bot.SearchMessages("x", slack.NewSearchParameters())
		return facts(refusal(invalid), refusal(none), r.Revoked, refusal(revoked), refusal(botOnly))
	})
	w.step("a method that is not there", func() []interface{} {
		_, err := w.ada.GetBillableInfoForTeam()
		return facts(refusal(err))
	})
	w.step("too many posts", func() []interface{} {
		rate, err := strconv.Atoi(os.Getenv("PARLEY_FLOOD"))
		must(err)
		_, _, _, err = w.linus.JoinConversation(w.room)
		must(err)
		for i := 0; i < 100*rate; i++ {
			_, _, err = w.linus.PostMessage(w.room, slack.MsgOptionText("flood", false))
			if limited, ok := err.(*slack.RateLimitedError); ok {
				time.Sleep(limited.RetryAfter)
				_, _, err = w.linus.PostMessage(w.room, slack.MsgOptionText("after the flood", false))
				must(err)
				return facts(i >= rate, limited.Retryable(), limited.RetryAfter >= time.Second, w.newest().Text)
			}
			must(err)
		}
		return facts("was never limited")
	})
	w.step("a deadline of the caller", func() []interface{} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := w.ada.AuthTestContext(ctx)
		_, after := w.ada.AuthTest()
		must(after)
		return facts(err != nil)
	})
}
