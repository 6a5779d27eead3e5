package main

import (
	"bytes"
	"image"
	"image/png"
	"math/rand"
	"os"
	"path/filepath"
	"strings"

	"github.com/slack-go/slack"
)

// A PNG that does not compress, so that it is as long as its pixels.
func noise(width, height int) []byte {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	rand.New(rand.NewSource(1)).Read(m.Pix)
	var b bytes.Buffer
	must(png.Encode(&b, m))
	return b.Bytes()
}

func (w *world) download(who *slack.Client, url string) []byte {
	var b bytes.Buffer
	must(who.GetFile(url, &b))
	return b.Bytes()
}

func (w *world) files() {
	var drawing, snippet string
	picture := noise(400, 300)
	w.step("files.upload, a file of the disk", func() []interface{} {
		path := filepath.Join(os.TempDir(), "go scenario.png")
		must(os.WriteFile(path, picture, 0600))
		defer os.Remove(path)
		f, err := w.ada.UploadFile(slack.FileUploadParameters{File: path, Filename: "zeichnung ü.png", Title: "A picture", InitialComment: "look", Channels: []string{w.room, w.random}})
		must(err)
		drawing = f.ID
		m := w.newest()
		return facts(f.Name, f.Title, f.Mimetype, f.Size == len(picture), f.Mode, w.name(f.User), w.names(f.Channels), m.Text, m.Upload, m.Files[0].ID == f.ID, f.OriginalW, f.OriginalH)
	})
	w.step("files.upload, a reader", func() []interface{} {
		f, err := w.ada.UploadFile(slack.FileUploadParameters{Reader: strings.NewReader("line\n"), Filename: "a.txt"})
		must(err)
		return facts(f.Name, f.Size, f.Mimetype, len(f.Channels), f.IsPublic)
	})
	w.step("files.upload, content into a thread", func() []interface{} {
		parent := w.say(w.ada, "thread with a file")
		f, err := w.ada.UploadFile(slack.FileUploadParameters{Content: "package main // & \"that\" = +%", Filetype: "go", Filename: "main.go", Channels: []string{w.room}, ThreadTimestamp: parent})
		must(err)
		snippet = f.ID
		all, _, _, err := w.ada.GetConversationReplies(&slack.GetConversationRepliesParameters{ChannelID: w.room, Timestamp: parent})
		must(err)
		return facts(f.Name, f.Mode, f.Filetype, len(all), all[1].Files[0].ID == f.ID, string(w.download(w.ada, f.URLPrivate)))
	})
	w.step("files.info", func() []interface{} {
		f, comments, paging, err := w.grace.GetFileInfo(drawing, 100, 1)
		must(err)
		_, _, _, none := w.grace.GetFileInfo("F00000000", 100, 1)
		return facts(f.Title, f.Filetype, len(f.Shares.Public[w.room]), f.Shares.Public[w.room][0].Ts != "", len(comments), paging.Total, refusal(none))
	})
	w.step("download", func() []interface{} {
		same := bytes.Equal(w.download(w.grace, mustFile(w.grace, drawing).URLPrivate), picture)
		attached := bytes.Equal(w.download(w.bot, mustFile(w.ada, drawing).URLPrivateDownload), picture)
		stranger := slack.New("xoxp-1-2-3-nobody").GetFile(mustFile(w.ada, drawing).URLPrivate, &bytes.Buffer{})
		return facts(same, attached, stranger)
	})
	w.step("files.list", func() []interface{} {
		all, paging, err := w.ada.GetFiles(slack.NewGetFilesParameters())
		must(err)
		images, _, err := w.ada.GetFiles(slack.GetFilesParameters{Types: "images", User: w.adaID, Channel: w.room, Count: 1, Page: 1, TimestampTo: -1})
		must(err)
		second, _, err := w.ada.GetFiles(slack.GetFilesParameters{Types: "all", Count: 1, Page: 2, TimestampTo: -1})
		must(err)
		byCursor, _, err := w.ada.ListFiles(slack.ListFilesParameters{Limit: 2, Channel: w.room})
		must(err)
		return facts(len(all), paging.Total, len(images), images[0].ID == drawing, second[0].Name, len(byCursor))
	})
	w.step("files.list, by pages of two", func() []interface{} {
		var names []string
		pages := 0
		for params := (&slack.ListFilesParameters{Limit: 2}); params.Cursor != "" || pages == 0; pages++ {
			page, next, err := w.ada.ListFiles(*params)
			must(err)
			for _, f := range page {
				names = append(names, f.Name)
			}
			params = next
		}
		return facts(strings.Join(names, ","), pages)
	})
	w.step("files.sharedPublicURL and revokePublicURL", func() []interface{} {
		f, _, _, err := w.ada.ShareFilePublicURL(drawing)
		must(err)
		public := slack.New("")
		open := bytes.Equal(w.download(public, f.PermalinkPublic), picture)
		r, err := w.ada.RevokeFilePublicURL(drawing)
		must(err)
		return facts(f.PublicURLShared, open, r.PublicURLShared, public.GetFile(f.PermalinkPublic, &bytes.Buffer{}))
	})
	w.step("files.delete", func() []interface{} {
		notOwn := w.grace.DeleteFile(snippet)
		must(w.ada.DeleteFile(snippet))
		_, _, _, gone := w.ada.GetFileInfo(snippet, 100, 1)
		return facts(refusal(notOwn), refusal(gone), refusal(w.ada.DeleteFile(snippet)))
	})
}

func mustFile(who *slack.Client, id string) *slack.File {
	f, _, _, err := who.GetFileInfo(id, 100, 1)
	must(err)
	return f
}
