moment = { $year }年{ $month ->
    [1] 1
    [2] 2
    [3] 3
    [4] 4
    [5] 5
    [6] 6
    [7] 7
    [8] 8
    [9] 9
    [10] 10
    [11] 11
   *[12] 12
}月{ $day }日 { $clock } UTC

reset-subject = { $site } のパスワード再設定
reset-title = パスワードの再設定
reset-preheader = { $until } までに { $username } の新しいパスワードを設定してください。
reset-intro = { $site } のアカウント { $username } について、パスワード再設定の依頼を受け付けました。お心当たりがある場合は、新しいパスワードを設定してください。
reset-button = 新しいパスワードを設定する
reset-action = 次のリンクから新しいパスワードを設定してください：
reset-ignore = お心当たりがない場合は、このメールを無視してください。パスワードは変更されません。

verify-subject = { $site } のメールアドレスの確認
verify-title = メールアドレスの確認
verify-preheader = { $until } までに { $address } がご自身のものであることを確認してください。
verify-intro = { $site } のアカウント { $username } に、メールアドレス { $address } が登録されています。このアドレスがご自身のものであることを確認してください。
verify-button = このアドレスを確認する
verify-action = 次のリンクからアドレスを確認してください：
verify-ignore = このアカウントにお心当たりがない場合は、このメールを無視してください。アドレスは未確認のままになります。

link-expiry = { $unit ->
    [hours] { $count ->
       *[other] このリンクは { $count } 時間以内（{ $until } まで）に 1 回だけ使用できます。
    }
   *[minutes] { $count ->
        [0] このリンクは 1 分以内（{ $until } まで）に 1 回だけ使用できます。
       *[other] このリンクは { $count } 分以内（{ $until } まで）に 1 回だけ使用できます。
    }
}
link-fallback = ボタンが機能しない場合は、次のアドレスをブラウザーで開いてください：

test-subject = { $site } からのテストメール
test-title = テストメールが届きました
test-preheader = { $site } からメールを送信できます。
test-intro = { $site } のシステム管理者の依頼により、{ $moment } にこのテストメールを送信しました。このメールが届いているので、テストしたメール設定は正しく機能しています。
test-ignore = ほかに必要な操作はありません。

orphaned-subject = { $site } からのメールは次回の再起動で停止します
orphaned-title = Postroom がプラグインなしで動作しています
orphaned-preheader = Mattermost が再起動されるまでメールは送信されます。元に戻す方法をお知らせします。
orphaned-intro = { $site } のプラグイン Postroom は { $since } から動作していません。Mattermost が異常終了の繰り返しにより停止したか、その後に無効化または削除されました。
orphaned-until = Mattermost は引き続き Postroom 経由でメールを送信しています。Postroom はプラグインなしでも動作しますが、Mattermost サーバーが再起動されるまでの間だけです。再起動後はメールが一切送信されなくなります。
orphaned-enable = Postroom を使い続けるには、System Console > Plugins でプラグインを一度無効にしてから再度有効にしてください。削除されている場合は、もう一度アップロードしてください。
orphaned-back = 以前のように Postroom を使わずにメールを送信するには、Mattermost サーバーで次のコマンドを実行してください：
orphaned-password = PASSWORD の部分を、{ $server } における { $account } のパスワードに置き換えてください。このメールにパスワードは含まれていません。
orphaned-remote = サーバーでローカルモードが無効の場合は、先に mmctl でログインし、--local を付けずに実行してください。または、System Console > Environment > SMTP で同じ値を設定してください。
orphaned-unknown = Postroom を使わずにメールを送信するには、System Console > Environment > SMTP でメールサーバーを設定してください。以前の設定は読み取れませんでした。

footer-sent = 送信元：{ $site }（{ $url }）
footer-support = お困りの場合の連絡先：{ $support }
