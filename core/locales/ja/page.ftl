page-title = { $title } · { $site }
page-title-error = エラー：{ $title } · { $site }

password-title = 新しいパスワードの設定
password-intro = { $site } のアカウント { $username } のパスワードを設定します。
password-intro-unnamed = { $site } のアカウントのパスワードを設定します。
password-new = 新しいパスワード
password-repeat = 新しいパスワード（もう一度）
password-save = 新しいパスワードを保存する
password-done-title = パスワードを変更しました
password-done = 新しいパスワードでログインできます。

address-title = メールアドレスの確認
address-intro = { $address } が { $site } で使用するご自身のアドレスであることを確認してください。
address-confirm = このアドレスを確認する
address-done-title = メールアドレスを確認しました
address-done = このアドレスがご自身のものであることを { $site } で確認できました。ログインできます。

log-in = { $site } にログインする
new-link = 新しいリンクを依頼する
to-site = { $site } を開く

notice-differ = 2 つのパスワードが一致しません。同じパスワードを 2 回入力してください。
notice-missing = 新しいパスワードを入力してください。
notice-refused = このパスワードは受け付けられませんでした：
notice-again = 処理を完了できませんでした。何も変更されておらず、リンクは引き続き有効です。1 分ほど待ってから、もう一度お試しください。

unknown-title = このリンクは使用できません
unknown-reset = すでに使用されたか、新しいメールに置き換えられた可能性があります。最新のメールのリンクを開くか、新しいリンクを依頼してください。
unknown-verify = すでに使用されたか、新しいメールに置き換えられた可能性があります。最新のメールのリンクを開くか、ログインして新しいリンクを受け取ってください。
expired-title = このリンクの有効期限が切れています
expired-reset = 何も変更されていません。新しいリンクを依頼し、早めに使用してください。
expired-verify = アドレスはまだ確認されていません。ログインして新しいリンクを受け取り、早めに使用してください。
dead-title = このリンクは無効になりました
dead-reset = リンクの送信後に、パスワードまたはメールアドレスが変更されたか、アカウントが無効化されました。必要な場合は、新しいリンクを依頼してください。
dead-verify = リンクの送信後に、アドレスがすでに確認されたか変更されたか、アカウントが無効化されました。ログインしてご確認ください。

outcome-title = 結果を確認できませんでした
outcome-reset = サーバーから時間内に応答がありませんでした。新しいパスワードでログインしてみてください。ログインできない場合は、新しいリンクを依頼してください。
outcome-verify = サーバーから時間内に応答がありませんでした。ログインしてください。アドレスの確認がまだ必要な場合は、新しいリンクを受け取れます。

too-many-title = 試行回数が多すぎます
too-many = 1 分ほど待ってから、もう一度リンクを開いてください。
unavailable-title = このページは現在利用できません
unavailable = サーバーが混雑しているか、再起動中です。1 分ほど待ってから、もう一度お試しください。
not-found-title = ページが見つかりません
not-found = このアドレスには何もありません。リンクをコピーした場合は、全体をコピーしたかご確認ください。

console-script = このページには JavaScript が必要です。このサイトで許可してから、ページを読み込み直してください。
console-admins-title = システム管理者専用
console-admins = このページを開けるのは、このサーバーのシステム管理者だけです。
console-log-in-title = ログインしてください
console-log-in = このページはシステム管理者専用です。ログインしてから、もう一度開いてください。
console-again = このページをもう一度開く
