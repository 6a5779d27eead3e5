package main

import (
	"strings"
	"time"

	"github.com/slack-go/slack"
)

func (w *world) marks() {
	ts := w.say(w.ada, "to be marked")
	item := slack.NewRefToMessage(w.room, ts)
	w.step("reactions", func() []interface{} {
		must(w.ada.AddReaction("thumbsup", item))
		must(w.grace.AddReaction("thumbsup", item))
		must(w.grace.AddReaction("tada", item))
		again := w.ada.AddReaction("thumbsup", item)
		got, err := w.ada.GetReactions(item, slack.GetReactionsParameters{Full: true})
		must(err)
		must(w.grace.RemoveReaction("tada", item))
		left, err := w.ada.GetReactions(item, slack.NewGetReactionsParameters())
		must(err)
		return facts(len(got), got[0].Name, got[0].Count, w.names(got[0].Users), refusal(again), len(left), refusal(w.grace.RemoveReaction("tada", item)))
	})
	w.step("pins", func() []interface{} {
		must(w.ada.AddPin(w.room, item))
		again := w.ada.AddPin(w.room, item)
		pins, _, err := w.grace.ListPins(w.room)
		must(err)
		pinned := w.newest().PinnedTo
		must(w.ada.RemovePin(w.room, item))
		return facts(len(pins), pins[0].Message.Text, w.name(pins[0].Channel), w.names(pinned), refusal(again), refusal(w.ada.RemovePin(w.room, item)))
	})
	w.step("stars", func() []interface{} {
		must(w.ada.AddStar(w.room, item))
		again := w.ada.AddStar(w.room, item)
		stars, paging, err := w.ada.ListStars(slack.StarsParameters{Count: 10, Page: 1})
		must(err)
		all, err := w.ada.ListAllStars()
		must(err)
		must(w.ada.RemoveStar(w.room, item))
		starred, _, err := w.ada.GetStarred(slack.NewStarsParameters())
		must(err)
		return facts(len(stars), stars[0].Type, stars[0].Message.Text, paging.Total, len(all), refusal(again), len(starred), refusal(w.ada.RemoveStar(w.room, item)))
	})
	w.step("bookmarks", func() []interface{} {
		b, err := w.ada.AddBookmark(w.room, slack.AddBookmarkParameters{Title: "Go", Type: "link", Link: "https://go.dev/", Emoji: ":hamster:"})
		must(err)
		title, emoji := "Golang", ""
		edited, err := w.grace.EditBookmark(w.room, b.ID, slack.EditBookmarkParameters{Title: &title, Emoji: &emoji, Link: "https://go.dev/doc/"})
		must(err)
		list, err := w.ada.ListBookmarks(w.room)
		must(err)
		must(w.ada.RemoveBookmark(w.room, b.ID))
		return facts(b.Title, b.Link, b.Emoji, b.Type, w.name(b.ChannelID), b.Created > 0, edited.Title, edited.Emoji == "", len(list), list[0].Link, refusal(w.ada.RemoveBookmark(w.room, b.ID)))
	})
}

func (w *world) lists() {
	w.step("reminders", func() []interface{} {
		r, err := w.ada.AddUserReminder(w.adaID, "drink", "in 2 hours")
		must(err)
		_, odd := w.ada.AddUserReminder(w.adaID, "x", "when pigs fly")
		list, err := w.ada.ListReminders()
		must(err)
		at := time.Unix(int64(list[0].Time), 0)
		must(w.ada.DeleteReminder(r.ID))
		return facts(r.Text, w.name(r.User), r.Recurring, len(list), time.Until(at) > 110*time.Minute, refusal(odd), refusal(w.ada.DeleteReminder(r.ID)))
	})
	w.step("search.messages", func() []interface{} {
		w.say(w.ada, "a platypus swims")
		w.say(w.grace, "no platypus here")
		var found *slack.SearchMessages
		eventually("both are found", func() bool {
			var err error
			found, err = w.ada.SearchMessages("platypus", slack.SearchParameters{Sort: "timestamp", SortDirection: "asc", Count: 10, Page: 1, Highlight: true})
			must(err)
			return found.Total == 2
		})
		m := found.Matches[0]
		from, err := w.ada.SearchMessages("platypus from:grace", slack.NewSearchParameters())
		must(err)
		shown := strings.NewReplacer("\ue000", "[", "\ue001", "]").Replace(m.Text)
		return facts(shown, w.name(m.User), m.Username, w.name(m.Channel.ID), m.Channel.Name, m.Permalink != "", found.Paging.Total, from.Total, from.Matches[0].Text)
	})
}
