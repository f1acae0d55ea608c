"""Names of one place or organization that no rule of spelling makes equal, and a few people known the world over.

General knowledge, modest by intent: countries, capitals and large cities, organizations that both languages speak of.
A line is of one thing; its first name stands for it and is how it is shown. A name that means two things of one kind
(``"Georgia"``, ``"Congo"``, ``"Америка"``, ``"Cambridge"``) stands nowhere. Of some there is also what taking each word
for itself makes of them: ``"соединить штат америка"``.
"""

from __future__ import annotations

PLACES = """
Россия | РФ | Российская Федерация | Russia | Russian Federation
США | Соединённые Штаты | Соединённые Штаты Америки | соединить штат | соединить штат америка
США | USA | U.S. | US | U.S.A. | United States | United States of America
Великобритания | Соединённое Королевство | соединить королевство | UK | U.K. | United Kingdom | Great Britain | Britain
Германия | ФРГ | Germany
Франция | France
Испания | Spain
Италия | Italy
Португалия | Portugal
Нидерланды | Голландия | Netherlands | Holland
Бельгия | Belgium
Швейцария | Switzerland
Австрия | Austria
Швеция | Sweden
Норвегия | Norway
Финляндия | Finland
Дания | Denmark
Исландия | Iceland
Ирландия | Ireland
Польша | Poland
Чехия | Czechia | Czech Republic | Чешская Республика
Словакия | Slovakia
Словения | Slovenia
Венгрия | Hungary
Румыния | Romania
Болгария | Bulgaria
Сербия | Serbia
Хорватия | Croatia
Греция | Greece
Турция | Turkey | Türkiye
Кипр | Cyprus
Украина | Ukraine
Белоруссия | Беларусь | Belarus | Республика Беларусь
Молдавия | Молдова | Moldova
Литва | Lithuania
Латвия | Latvia
Эстония | Estonia
Грузия | Republic of Georgia
Армения | Armenia
Азербайджан | Azerbaijan
Казахстан | Kazakhstan
Узбекистан | Uzbekistan
Таджикистан | Tajikistan
Туркмения | Туркменистан | Turkmenistan
Киргизия | Кыргызстан | Kyrgyzstan
Китай | КНР | China | PRC
Тайвань | Taiwan
Япония | Japan
Южная Корея | Республика Корея | South Korea | Republic of Korea
Северная Корея | КНДР | North Korea | DPRK
Индия | India
Пакистан | Pakistan
Афганистан | Afghanistan
Иран | Iran
Ирак | Iraq
Израиль | Israel
Палестина | Palestine
Сирия | Syria
Ливан | Lebanon
Египет | Egypt
Ливия | Libya
Алжир | Algeria
Марокко | Morocco
Тунис | Tunisia
Саудовская Аравия | Saudi Arabia | KSA
ОАЭ | Объединённые Арабские Эмираты | объединить арабский эмират | UAE | United Arab Emirates
Катар | Qatar
Кувейт | Kuwait
Йемен | Yemen
ЮАР | Южно-Африканская Республика | South Africa
Эфиопия | Ethiopia
Нигерия | Nigeria
Кения | Kenya
Канада | Canada
Мексика | Mexico
Бразилия | Brazil
Аргентина | Argentina
Чили | Chile
Куба | Cuba
Венесуэла | Venezuela
Колумбия | Colombia
Австралия | Australia
Новая Зеландия | New Zealand
Вьетнам | Vietnam | Viet Nam
Таиланд | Thailand
Индонезия | Indonesia
Малайзия | Malaysia
Сингапур | Singapore
Филиппины | Philippines
Монголия | Mongolia
Европа | Europe
Азия | Asia
Африка | Africa
Крым | Crimea
Сибирь | Siberia
Сектор Газа | Gaza Strip
Чечня | Чеченская Республика | Chechnya
Татарстан | Республика Татарстан | Tatarstan
Башкирия | Башкортостан | Республика Башкортостан | Bashkortostan
Якутия | Республика Саха | Yakutia
Калифорния | California
Техас | Texas
Флорида | Florida
Москва | Moscow
Санкт-Петербург | Петербург | СПб | Питер | Saint Petersburg | St. Petersburg | St Petersburg
Ростов-на-Дону | Rostov-on-Don
Нижний Новгород | Nizhny Novgorod
Екатеринбург | Yekaterinburg
Казань | Kazan
Астрахань | Astrakhan
Тюмень | Tyumen
Пермь | Perm
Рязань | Ryazan
Тверь | Tver
Ярославль | Yaroslavl
Севастополь | Sevastopol | Sebastopol
Архангельск | Arkhangelsk
Киев | Київ | Kyiv | Kiev
Харьков | Харків | Kharkiv | Kharkov
Одесса | Одеса | Odesa | Odessa
Львов | Львів | Lviv
Запорожье | Запоріжжя | Zaporizhzhia | Zaporozhye
Чернобыль | Chernobyl | Chornobyl
Минск | Minsk
Кишинёв | Chisinau | Chişinău
Рига | Riga
Вильнюс | Vilnius
Таллин | Таллинн | Tallinn
Тбилиси | Tbilisi
Ереван | Yerevan
Баку | Baku
Астана | Нур-Султан | Astana | Nur-Sultan
Алма-Ата | Алматы | Almaty
Ташкент | Tashkent
Бишкек | Bishkek
Лондон | London
Париж | Paris
Берлин | Berlin
Мюнхен | Munich | München
Кёльн | Cologne | Köln
Франкфурт-на-Майне | Frankfurt am Main
Гамбург | Hamburg
Вена | Vienna | Wien
Цюрих | Zurich | Zürich
Женева | Geneva | Genève
Рим | Rome | Roma
Милан | Milan | Milano
Венеция | Venice | Venezia
Неаполь | Naples | Napoli
Флоренция | Florence | Firenze
Мадрид | Madrid
Барселона | Barcelona
Лиссабон | Lisbon | Lisboa
Амстердам | Amsterdam
Гаага | Hague | Den Haag
Брюссель | Brussels | Bruxelles
Копенгаген | Copenhagen
Стокгольм | Stockholm
Осло | Oslo
Хельсинки | Helsinki
Варшава | Warsaw | Warszawa
Краков | Krakow | Cracow | Kraków
Прага | Prague | Praha
Братислава | Bratislava
Будапешт | Budapest
Бухарест | Bucharest
София | Sofia
Белград | Belgrade | Beograd
Загреб | Zagreb
Афины | Athens
Стамбул | Istanbul
Анкара | Ankara
Иерусалим | Jerusalem
Тель-Авив | Tel Aviv
Каир | Cairo
Дамаск | Damascus
Багдад | Baghdad
Тегеран | Tehran | Teheran
Эр-Рияд | Riyadh
Дубай | Dubai
Абу-Даби | Abu Dhabi
Доха | Doha
Дели | Delhi
Нью-Дели | New Delhi
Мумбаи | Бомбей | Mumbai | Bombay
Пекин | Beijing | Peking
Шанхай | Shanghai
Гонконг | Hong Kong
Токио | Tokyo
Киото | Kyoto
Осака | Osaka
Сеул | Seoul
Пхеньян | Pyongyang
Бангкок | Bangkok
Ханой | Hanoi
Хошимин | Сайгон | Ho Chi Minh City | Saigon
Джакарта | Jakarta
Сидней | Sydney
Мельбурн | Melbourne
Канберра | Canberra
Нью-Йорк | New York | New York City | NYC
Вашингтон | Washington
Лос-Анджелес | Los Angeles
Сан-Франциско | San Francisco
Чикаго | Chicago
Бостон | Boston
Филадельфия | Philadelphia
Хьюстон | Houston
Майами | Miami
Лас-Вегас | Las Vegas
Сиэтл | Seattle
Детройт | Detroit
Торонто | Toronto
Монреаль | Montreal | Montréal
Оттава | Ottawa
Мехико | Mexico City
Гавана | Havana
Буэнос-Айрес | Buenos Aires
Рио-де-Жанейро | Rio de Janeiro
Сан-Паулу | São Paulo
Найроби | Nairobi
Кейптаун | Cape Town
Йоханнесбург | Johannesburg
"""
ORGANIZATIONS = """
ООН | Организация Объединённых Наций | организация объединить нация | UN | U.N. | United Nations
НАТО | Североатлантический альянс | NATO | North Atlantic Treaty Organization
Евросоюз | ЕС | Европейский союз | EU | E.U. | European Union
Всемирная организация здравоохранения | ВОЗ | всемирный организация здравоохранение | WHO | World Health Organization
МВФ | Международный валютный фонд | IMF | International Monetary Fund
Всемирная торговая организация | ВТО | WTO | World Trade Organization
ОПЕК | OPEC
ОБСЕ | OSCE
МАГАТЭ | IAEA | International Atomic Energy Agency
ЮНЕСКО | UNESCO
ЮНИСЕФ | UNICEF
БРИКС | BRICS
ШОС | Шанхайская организация сотрудничества | шанхайский организация сотрудничество | Shanghai Cooperation Organisation
СНГ | Содружество Независимых Государств | содружество независимый государство
СНГ | CIS | Commonwealth of Independent States
ФИФА | FIFA
УЕФА | UEFA
Международный олимпийский комитет | МОК | IOC | International Olympic Committee
Всемирный банк | World Bank
Европейский центральный банк | ЕЦБ | European Central Bank
Европарламент | Европейский парламент | European Parliament
Еврокомиссия | Европейская комиссия | European Commission
ФРС | Федеральная резервная система | федеральный резервный система | Federal Reserve
ЦРУ | CIA | Central Intelligence Agency
ФБР | FBI | Federal Bureau of Investigation
АНБ | NSA | National Security Agency
НАСА | NASA
Пентагон | Pentagon
ФСБ | FSB | Federal Security Service | Федеральная служба безопасности | федеральный служба безопасность
МИД | Министерство иностранных дел | министерство иностранный дело
Минобороны | Министерство обороны | министерство оборона
Минфин | Министерство финансов | министерство финансы
Центробанк | ЦБ | Центральный банк
Банк России | банк россия | Bank of Russia
Госдума | Государственная дума | State Duma
Газпром | Gazprom
Роснефть | Rosneft
Лукойл | Lukoil
Сбербанк | Сбер | Sberbank | Sber
ВТБ | VTB
РЖД | Российские железные дороги | российский железный дорога | Russian Railways
Ростех | Rostec | Rostekh
Росатом | Rosatom
Роскосмос | Roscosmos | Roskosmos
Роскомнадзор | РКН | Roskomnadzor
Яндекс | Yandex
ВКонтакте | ВК | VK | VKontakte
МГУ | Московский государственный университет | Moscow State University
РБК | RBC
ТАСС | TASS
Коммерсантъ | Kommersant
Гугл | Google
Эппл | Apple
Майкрософт | Microsoft
Фейсбук | Facebook
Твиттер | Twitter
Ютуб | YouTube | Ютьюб
Инстаграм | Instagram | Инстаграмм
Ватсап | WhatsApp | Вотсап
Телеграм | Telegram | Телеграмм
Амазон | Amazon
Тесла | Tesla
Нетфликс | Netflix
Спейс Икс | SpaceX | Space X
Боинг | Boeing
Эйрбас | Аэробус | Airbus
Самсунг | Samsung
Хуавэй | Хуавей | Huawei
Тойота | Toyota
Фольксваген | Volkswagen
Мерседес | Мерседес-Бенц | Mercedes | Mercedes-Benz
Интел | Intel
Би-би-си | BBC
Си-эн-эн | CNN
Рейтер | Reuters
Блумберг | Bloomberg
Нью-Йорк таймс | New York Times | NYT
Файнэншл таймс | Financial Times
Голдман Сакс | Goldman Sachs
Кока-Кола | Coca-Cola
Макдоналдс | Макдональдс | McDonald's
Икеа | IKEA
"""
PEOPLE = """
Владимир Путин | Vladimir Putin | Владимир Владимирович Путин
Дональд Трамп | Donald Trump
Джо Байден | Joe Biden
Владимир Зеленский | Volodymyr Zelensky | Volodymyr Zelenskyy | Володимир Зеленський
Александр Лукашенко | Aleksandr Lukashenko | Alyaksandr Lukashenka
Эмманюэль Макрон | Emmanuel Macron
Ангела Меркель | Angela Merkel
Олаф Шольц | Olaf Scholz
Борис Джонсон | Boris Johnson
Реджеп Эрдоган | Реджеп Тайип Эрдоган | Recep Erdogan | Recep Tayyip Erdoğan
Си Цзиньпин | Xi Jinping
Ким Чен Ын | Kim Jong Un
Нарендра Моди | Narendra Modi
Биньямин Нетаньяху | Benjamin Netanyahu | Binyamin Netanyahu
Михаил Горбачёв | Mikhail Gorbachev | Michail Gorbatschow
Илон Маск | Elon Musk
Марк Цукерберг | Mark Zuckerberg
Билл Гейтс | Bill Gates
Джефф Безос | Jeff Bezos
Стив Джобс | Steve Jobs
Лев Толстой | Leo Tolstoy
Пётр Чайковский | Pyotr Tchaikovsky
Альберт Эйнштейн | Albert Einstein
"""


def read(lines: str) -> list[list[str]]:
    """Return the names of each line, in lower case with ``е`` for ``ё``, but for the first, which is as it is shown."""
    rows = [[name.strip() for name in line.split("|")] for line in lines.strip().splitlines()]
    return [[row[0], *(name.casefold().replace("ё", "е") for name in row)] for row in rows]
